#!/usr/bin/env bash
# The events that mostly wait (events.sh has them and their network): what silence costs, with a stream
# and with none, and a mapping that ends after a minute.
#
# Long: a minute and a half of silence.
EVENTS="idle_stream idle_none lifetime" exec bash "$(dirname "${BASH_SOURCE[0]}")/events.sh"
