#include "os/turns.h"

bool turns_shorten(bool on)
{
    (void)on;
    return false;
}
