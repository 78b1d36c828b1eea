#include "control/put.h"

#include "control/control.h"

void put_text(struct builder *b, cJSON *to, const char *name, const char *text)
{
    cJSON *made = text ? cJSON_AddStringToObject(to, name, text) : cJSON_AddNullToObject(to, name);
    b->failed |= !made;
}

void put_number(struct builder *b, cJSON *to, const char *name, uint64_t v)
{
    cJSON *made = v == CONTROL_UNKNOWN ? cJSON_AddNullToObject(to, name)
                                       : cJSON_AddNumberToObject(to, name, (double)v);
    b->failed |= !made;
}

void put_bool(struct builder *b, cJSON *to, const char *name, bool v)
{
    b->failed |= !cJSON_AddBoolToObject(to, name, v);
}

cJSON *put_object(struct builder *b, cJSON *to, const char *name)
{
    cJSON *made = cJSON_AddObjectToObject(to, name);
    b->failed |= !made;
    return made;
}

cJSON *put_array(struct builder *b, cJSON *to, const char *name)
{
    cJSON *made = cJSON_AddArrayToObject(to, name);
    b->failed |= !made;
    return made;
}

cJSON *put_item(struct builder *b, cJSON *array)
{
    cJSON *item = cJSON_CreateObject();
    if (!item || !cJSON_AddItemToArray(array, item)) {
        cJSON_Delete(item);
        b->failed = true;
        return NULL;
    }
    return item;
}

void put_text_item(struct builder *b, cJSON *array, const char *text)
{
    cJSON *item = cJSON_CreateString(text);
    if (!item || !cJSON_AddItemToArray(array, item)) {
        cJSON_Delete(item);
        b->failed = true;
    }
}

char *put_end(struct builder *b, cJSON *root)
{
    char *text = b->failed ? NULL : cJSON_Print(root);
    cJSON_Delete(root);
    return text;
}
