/*
 * Plugin for QEMU (its TCG plugin interface; PLUGIN_VERSION is what this QEMU takes: 1, from QEMU 9 on 2): counts how often every block of guest code runs from the entry
 * of a function until control reaches an address behind the call, the first time. Its arguments are entry=ADDRESS,
 * exit=ADDRESS and out=FILE; the file gets a line "address instructions times" per block.
 *
 * The few declarations of the interface stand here, because distributions do not package its header.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };

extern int qemu_plugin_version;
int qemu_plugin_version = PLUGIN_VERSION;

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*callback)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, void (*callback)(unsigned int, void *),
                                          enum qemu_plugin_cb_flags flags, void *data);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t, void *), void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *block);

struct block {
    struct block *next;
    uint64_t address, instructions, times;
};

static struct block *blocks; /* a block that is translated again appears again; whoever reads the file adds up */
static uint64_t entry, exit_address;
static char *out;
static enum { BEFORE, WITHIN, AFTER } phase;

static void executed(unsigned int cpu, void *data)
{
    struct block *block = data;
    (void)cpu;
    if (phase == BEFORE && block->address == entry) {
        phase = WITHIN;
    } else if (phase == WITHIN && block->address == exit_address) {
        phase = AFTER;
    }
    if (phase == WITHIN) {
        block->times++;
    }
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    struct block *block = calloc(1, sizeof *block);
    (void)id;
    if (block == NULL) {
        abort();
    }
    block->address = qemu_plugin_tb_vaddr(tb);
    block->instructions = qemu_plugin_tb_n_insns(tb);
    block->next = blocks;
    blocks = block;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, QEMU_PLUGIN_CB_NO_REGS, block);
}

static void finished(qemu_plugin_id_t id, void *data)
{
    const struct block *block;
    FILE *file = fopen(out, "w");
    (void)id;
    (void)data;
    if (file == NULL) {
        return; /* whoever wants to read it will say that there is none */
    }
    for (block = blocks; block != NULL; block = block->next) {
        if (block->times != 0u) {
            fprintf(file, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", block->address, block->instructions, block->times);
        }
    }
    fclose(file);
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
    int i;
    (void)info;
    for (i = 0; i < argc; i++) {
        if (strncmp(argv[i], "entry=", 6) == 0) {
            entry = strtoull(argv[i] + 6, NULL, 0);
        } else if (strncmp(argv[i], "exit=", 5) == 0) {
            exit_address = strtoull(argv[i] + 5, NULL, 0);
        } else if (strncmp(argv[i], "out=", 4) == 0) {
            out = strdup(argv[i] + 4);
        }
    }
    if (entry == 0u || exit_address == 0u || out == NULL) {
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, finished, NULL);
    return 0;
}
