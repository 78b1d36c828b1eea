#include <base/err.h>

const char *err_name(int err)
{
    switch ((enum err)err) {
#define ERR_NAME(name, code, text)                                                                 \
    case ERR_##name:                                                                               \
        return #name;
        ERR_TABLE(ERR_NAME)
#undef ERR_NAME
    }
    return "UNKNOWN";
}

const char *err_text(int err)
{
    switch ((enum err)err) {
#define ERR_TEXT(name, code, text)                                                                 \
    case ERR_##name:                                                                               \
        return text;
        ERR_TABLE(ERR_TEXT)
#undef ERR_TEXT
    }
    return "unknown error";
}
