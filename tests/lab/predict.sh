#!/usr/bin/env bash
# Two NATs that both give out their ports in sequence: how far prediction gets there, by hand and by
# Adit, beside others that open mappings all the time.
#
#   home 192.168.1.2 --- gw_home (in sequence) --- br0 --- gw_laptop (in sequence) --- laptop 192.168.1.3
#                                                   |
#                                       relay, STUN on two addresses
#
# By hand: each side asks both servers, tells the other the eight ports that come next, and sends to the other's
# eight in their order. The packet to the other's nth port leaves from our nth one, to which the other's
# nth packet goes: all eight pairs meet. One mapping more on one side, before or between, and what
# leaves comes from another port than the one that the other side has opened: none of them meets.
#
# Adit: one side sends half as fast again as the other, so that there is a pair for each number of
# strange mappings (tunnel/path/sequence.h).
#
# Environment: PREDICT_ROUNDS (how often the nodes meet), PREDICT_OTHERS (mappings that are opened
# beside them at each side, a second).
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"
NAT_DELAY=10
. "$(dirname "${BASH_SOURCE[0]}")/nat.sh"

# by_hand NAME PEER OTHERS: prints how many of the peer's predicted ports have answered. OTHERS are mappings
# that are made for something else between the prediction and its use.
by_hand() {
    # shellcheck disable=SC2016 # perl's
    lab_spawn "$1.$3" "$1" perl -e '
        use Socket;
        my ($file, $peer, $peer_ip, $others) = @ARGV;
        socket(my $s, PF_INET, SOCK_DGRAM, 0) or die $!;
        bind($s, sockaddr_in(0, INADDR_ANY)) or die $!;
        sub hear { my $in = ""; vec($in, fileno($s), 1) = 1; select($in, undef, undef, shift) }
        sub mapped {
            my ($server, $data) = @_;
            send($s, pack("nnNNNN", 1, 0, 0x2112A442, 1, 2, 3), 0, sockaddr_in(3478, inet_aton($server)));
            hear(5) or die "no answer of STUN";
            recv($s, $data, 1500, 0);
            for (my $at = 20; $at + 4 <= length $data;) {
                my ($type, $len) = unpack("nn", substr($data, $at));
                return unpack("n", substr($data, $at + 6)) ^ 0x2112 if $type == 0x20;
                $at += 4 + ($len + 3 & ~3);
            }
            die "no address in it";
        }
        my ($one, $two) = (mapped("203.0.113.10"), mapped("198.51.100.10"));
        $two == $one + 1 or die "not in sequence: $one, $two";
        open(my $f, ">", "$file.new") or die $!;
        print {$f} $two + 1;
        close($f) && rename("$file.new", $file) or die $!;
        for (1 .. 500) { last if -e $peer; select(undef, undef, undef, 0.01) }
        open($f, "<", $peer) or die $!;
        my $next = <$f>;
        send($s, "x", 0, sockaddr_in(9 + $_, inet_aton("203.0.113.10"))) for 1 .. $others;
        my %heard;
        for (1 .. 5) {
            send($s, "x", 0, sockaddr_in($next + $_, inet_aton($peer_ip))) for 0 .. 7;
            while (hear(0.1)) {
                my $from = recv($s, my $data, 1500, 0) or next;
                my ($port, $ip) = sockaddr_in($from);
                $heard{$port} = 1 if inet_ntoa($ip) eq $peer_ip;
            }
        }
        print scalar(keys %heard), "\n"' \
        "$LAB/$1.$4" "$LAB/$2.$4" "203.0.113.${nat_number[$2]}" "$3"
}

# meet HOME-OTHERS LAPTOP-OTHERS EXPECTED
round=0
meet() {
    local at_home at_laptop
    round=$((round + 1))
    rm -f "$LAB"/{home,laptop}."$1".log "$LAB"/{home,laptop}."$2".log
    by_hand home laptop "$1" "round$round"
    by_hand laptop home "$2" "round$round"
    lab_join "home.$1" || lab_fail "home: $(cat "$LAB/home.$1.log")"
    lab_join "laptop.$2" || lab_fail "laptop: $(cat "$LAB/laptop.$2.log")"
    at_home=$(<"$LAB/home.$1.log") at_laptop=$(<"$LAB/laptop.$2.log")
    lab_say "$1 and $2 mappings in between: home hears $at_home of 8 ports, laptop $at_laptop"
    [ "$at_home $at_laptop" = "$3 $3" ] || lab_fail "not $3 of 8"
}

# open_mappings SITE: others in the same house, each of whose packets has a socket of its own.
open_mappings() {
    # shellcheck disable=SC2016 # perl's
    lab_spawn "others_$1" "$1" perl -e '
        use Socket;
        for (1 .. 120 * $ARGV[0]) {
            socket(my $s, PF_INET, SOCK_DGRAM, 0) or die $!;
            send($s, "x", 0, sockaddr_in(9, inet_aton("203.0.113.10")));
            select(undef, undef, undef, (0.5 + rand) / $ARGV[0]);
        }' "$others"
}

# A session with nothing open looks for a better path for some seconds only, and a guess may miss.
adit_is_direct() {
    nat_is_direct || { lab_first_page && false; }
}

# One life of the laptop's node, until both ends are direct. What a guess may take: a run that misses
# comes again after 20 s.
adit_meets() {
    : >"$LAB/laptop.log"
    lab_adit laptop
    lab_wait_until 15 nat_relay_is_up laptop
    lab_wait_until 50 adit_is_direct
    lab_say "direct, $(lab_peer laptop home .path.address); $(grep -c ' sequence .* to=sending' "$LAB/laptop.log") runs"
    grep -q ' sequence .* to=won' "$LAB/laptop.log" || lab_fail "direct, but not by what is tested"
    lab_kill laptop
}

rounds=${PREDICT_ROUNDS:-3} others=${PREDICT_OTHERS:-10}
nat_two edm_sequential edm_sequential
meet 0 0 8
meet 1 0 0
meet 2 2 0
nat_two_start
lab_kill laptop
open_mappings home
open_mappings laptop
for _ in $(seq "$rounds"); do
    adit_meets
done
[ "$(grep -c ' sequence .* to=won' "$LAB/home.log")" -ge "$rounds" ] || lab_fail "home has not met it each time"
