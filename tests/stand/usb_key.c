/* A USB key for tests: SoftHSM behind it, misfortune on demand.
 *
 * SoftHSM never locks a PIN and is never pulled out. This module forwards every call to it and steps in where a file
 * of the folder FAKE_TOKEN_FOLDER says so:
 *   script/NAME  "RV TIMES SLEEP_MS": the call NAME sleeps, then answers RV (0: forwards) TIMES times (-1: for ever).
 *   tries        how many wrong PINs are left; counts down, sets the token's flags, locks at 0, is 3 after a right one.
 *   flags        more bits for the flags of CK_TOKEN_INFO.
 *   absent       while it exists there is no token; sessions opened before it appeared stay dead until C_Finalize.
 *   pull_at_sign the next C_Sign finds the key pulled: it leaves `absent` behind.
 *   bend         while it exists every signature is spoilt in its last bit.
 *   careless     while it exists keys are made extractable, whatever was asked for.
 *   calls        one line for each C_Initialize, C_Finalize, C_Login and C_Sign.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long CK_ULONG;
typedef CK_ULONG CK_RV;
typedef CK_RV (*fn)();
typedef struct { unsigned char major, minor; fn f[68]; } CK_FUNCTION_LIST;

enum { INITIALIZE = 0, FINALIZE = 1, GET_FUNCTION_LIST = 3, GET_SLOT_LIST = 4, GET_TOKEN_INFO = 6, OPEN_SESSION = 12,
       LOGIN = 18, GET_ATTRIBUTE_VALUE = 24, FIND_OBJECTS_INIT = 26, SIGN_INIT = 42, SIGN = 43, GENERATE_KEY_PAIR = 59 };

static CK_FUNCTION_LIST ours, *theirs;
static int dead;

static char *in_folder(const char *name)
{
    static __thread char path[4096];
    const char *folder = getenv("FAKE_TOKEN_FOLDER");
    snprintf(path, sizeof path, "%s/%s", folder ? folder : "/nonexistent", name);
    return path;
}

static void note(const char *name)
{
    FILE *file = fopen(in_folder("calls"), "a");
    if (file) {
        fprintf(file, "%s\n", name);
        fclose(file);
    }
}

static long number(const char *name, long missing)
{
    long value = missing;
    FILE *file = fopen(in_folder(name), "r");
    if (file) {
        if (fscanf(file, "%li", &value) != 1)
            value = missing;
        fclose(file);
    }
    return value;
}

static void put_number(const char *name, long value)
{
    FILE *file = fopen(in_folder(name), "w");
    if (file) {
        fprintf(file, "%ld\n", value);
        fclose(file);
    }
}

static int is_absent(void)
{
    int absent = access(in_folder("absent"), F_OK) == 0;
    if (absent)
        dead = 1;
    return absent;
}

/* What the script says of a call: 0 to forward it. */
static CK_RV scripted(const char *name)
{
    char entry[256];
    long rv = 0, times = 0, sleep_ms = 0;
    snprintf(entry, sizeof entry, "script/%s", name);
    FILE *file = fopen(in_folder(entry), "r");
    if (!file)
        return 0;
    int read = fscanf(file, "%li %li %li", &rv, &times, &sleep_ms);
    fclose(file);
    if (read != 3 || times == 0)
        return 0;
    if (times > 0) {
        file = fopen(in_folder(entry), "w");
        if (file) {
            fprintf(file, "%ld %ld %ld\n", rv, times - 1, sleep_ms);
            fclose(file);
        }
    }
    struct timespec pause = { sleep_ms / 1000, (sleep_ms % 1000) * 1000000L };
    nanosleep(&pause, NULL);
    return (CK_RV)rv;
}

/* For a call inside a session: what the script says, then whether the token it was opened on is still the same. */
static CK_RV in_session(const char *name)
{
    CK_RV rv = scripted(name);
    if (rv)
        return rv;
    if (is_absent())
        return 0x32; /* CKR_DEVICE_REMOVED */
    return dead ? 0xB3 : 0; /* CKR_SESSION_HANDLE_INVALID */
}

static CK_RV initialize(void *args)
{
    note("C_Initialize");
    CK_RV rv = scripted("C_Initialize");
    return rv ? rv : theirs->f[INITIALIZE](args);
}

static CK_RV finalize(void *reserved)
{
    note("C_Finalize");
    dead = 0;
    return theirs->f[FINALIZE](reserved);
}

static CK_RV get_slot_list(unsigned char present, CK_ULONG *list, CK_ULONG *count)
{
    CK_RV rv = scripted("C_GetSlotList");
    if (rv)
        return rv;
    if (is_absent() && present) {
        *count = 0;
        return 0;
    }
    return theirs->f[GET_SLOT_LIST](present, list, count);
}

static CK_RV get_token_info(CK_ULONG slot, unsigned char *info)
{
    CK_RV rv = scripted("C_GetTokenInfo");
    if (rv)
        return rv;
    if (is_absent())
        return 0xE0; /* CKR_TOKEN_NOT_PRESENT */
    rv = theirs->f[GET_TOKEN_INFO](slot, info);
    if (rv == 0) {
        CK_ULONG flags;
        long tries = number("tries", 3);
        memcpy(&flags, info + 96, sizeof flags);
        flags &= ~0xF0000UL;
        flags |= (tries < 3 ? 0x10000 : 0) | (tries == 1 ? 0x20000 : 0) | (tries < 1 ? 0x40000 : 0);
        flags |= (CK_ULONG)number("flags", 0);
        memcpy(info + 96, &flags, sizeof flags);
    }
    return rv;
}

static CK_RV open_session(CK_ULONG slot, CK_ULONG flags, void *app, void *notify, CK_ULONG *session)
{
    CK_RV rv = scripted("C_OpenSession");
    if (rv)
        return rv;
    return is_absent() ? 0xE0 : theirs->f[OPEN_SESSION](slot, flags, app, notify, session);
}

static CK_RV login(CK_ULONG session, CK_ULONG user, unsigned char *pin, CK_ULONG length)
{
    note("C_Login");
    CK_RV rv = in_session("C_Login");
    if (rv)
        return rv;
    long tries = number("tries", 3);
    if (tries < 1)
        return 0xA4; /* CKR_PIN_LOCKED */
    rv = theirs->f[LOGIN](session, user, pin, length);
    if (rv == 0xA0) /* CKR_PIN_INCORRECT */
        put_number("tries", tries - 1);
    else if (rv == 0)
        put_number("tries", 3);
    return rv;
}

static CK_RV get_attribute_value(CK_ULONG session, CK_ULONG object, void *template, CK_ULONG count)
{
    CK_RV rv = in_session("C_GetAttributeValue");
    return rv ? rv : theirs->f[GET_ATTRIBUTE_VALUE](session, object, template, count);
}

static CK_RV find_objects_init(CK_ULONG session, void *template, CK_ULONG count)
{
    CK_RV rv = in_session("C_FindObjectsInit");
    return rv ? rv : theirs->f[FIND_OBJECTS_INIT](session, template, count);
}

static CK_RV sign_init(CK_ULONG session, void *mechanism, CK_ULONG key)
{
    CK_RV rv = in_session("C_SignInit");
    return rv ? rv : theirs->f[SIGN_INIT](session, mechanism, key);
}

static CK_RV sign(CK_ULONG session, void *data, CK_ULONG length, unsigned char *signature, CK_ULONG *signature_length)
{
    if (!signature)
        return theirs->f[SIGN](session, data, length, signature, signature_length);
    note("C_Sign");
    if (access(in_folder("pull_at_sign"), F_OK) == 0) {
        unlink(in_folder("pull_at_sign"));
        put_number("absent", 1);
    }
    /* Signed in any case: a call that fails ends the operation too. */
    CK_RV rv = in_session("C_Sign"), made = theirs->f[SIGN](session, data, length, signature, signature_length);
    if (rv) {
        memset(signature, 0, *signature_length);
        return rv;
    }
    rv = made;
    if (rv == 0 && access(in_folder("bend"), F_OK) == 0)
        signature[*signature_length - 1] ^= 1;
    return rv;
}

static CK_RV generate_key_pair(CK_ULONG session, void *mechanism, void *public, CK_ULONG public_count, void *private,
                               CK_ULONG private_count, CK_ULONG *public_key, CK_ULONG *private_key)
{
    CK_RV rv = in_session("C_GenerateKeyPair");
    if (rv)
        return rv;
    /* A token that does not care: what was asked for as not extractable may be taken out. */
    if (access(in_folder("careless"), F_OK) == 0) {
        struct { CK_ULONG type; void *value; CK_ULONG length; } *one = private;
        for (CK_ULONG at = 0; at < private_count; at++)
            if (one[at].type == 0x162) /* CKA_EXTRACTABLE */
                *(unsigned char *)one[at].value = 1;
    }
    return theirs->f[GENERATE_KEY_PAIR](session, mechanism, public, public_count, private, private_count, public_key,
                                        private_key);
}

static CK_RV get_function_list(CK_FUNCTION_LIST **list)
{
    *list = &ours;
    return 0;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    if (!theirs) {
        void *module = dlopen(SOFTHSM, RTLD_NOW | RTLD_LOCAL);
        CK_RV (*get)(CK_FUNCTION_LIST **) = module ? (CK_RV (*)(CK_FUNCTION_LIST **))dlsym(module, "C_GetFunctionList") : 0;
        if (!get || get(&theirs) != 0)
            return 5; /* CKR_GENERAL_ERROR */
        ours = *theirs;
        ours.f[INITIALIZE] = initialize;
        ours.f[FINALIZE] = finalize;
        ours.f[GET_FUNCTION_LIST] = get_function_list;
        ours.f[GET_SLOT_LIST] = (fn)get_slot_list;
        ours.f[GET_TOKEN_INFO] = get_token_info;
        ours.f[OPEN_SESSION] = open_session;
        ours.f[LOGIN] = login;
        ours.f[GET_ATTRIBUTE_VALUE] = get_attribute_value;
        ours.f[FIND_OBJECTS_INIT] = find_objects_init;
        ours.f[SIGN_INIT] = sign_init;
        ours.f[SIGN] = sign;
        ours.f[GENERATE_KEY_PAIR] = generate_key_pair;
    }
    return get_function_list(list);
}
