/*
 * What an emulated processor executes between two marks: a plugin for QEMU, built on demand by `plugin.rs`.
 *
 * A mark is an instruction that does nothing: one begins a stretch, the other ends it. At the end this writes, for
 * every piece of code that ran in between, how often it ran and how often execution went on elsewhere than behind it.
 * It knows the lengths of instructions and nothing else about them; `trace.rs` reads what it writes:
 *
 *   p NUMBER LENGTH CODE   a piece that was not named before: its instructions, in hexadecimal
 *   r NUMBER RUNS LEFT     how often it ran, and went on elsewhere
 *   e                      end of the stretch
 *
 * Argument: out=FILE.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is used of QEMU's plugin interface, version 1 (QEMU's manual, "QEMU TCG Plugins"). */
struct tb;
struct insn;
struct info {
    const char *target_name;
};
int qemu_plugin_version = 1;
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*call)(uint64_t id, struct tb *));
void qemu_plugin_register_vcpu_insn_exec_cb(struct insn *, void (*call)(unsigned cpu, void *), int flags, void *);
size_t qemu_plugin_tb_n_insns(const struct tb *);
struct insn *qemu_plugin_tb_get_insn(const struct tb *, size_t index);
const void *qemu_plugin_insn_data(const struct insn *);
uint64_t qemu_plugin_insn_vaddr(const struct insn *);

/* Instructions that always run one after the other. */
struct piece {
    unsigned number, instructions;
    bool named;
    uint64_t start, end;
    /* Of the stretch in which it ran last. */
    uint64_t stretch, runs, left;
    struct piece *next;
    size_t bytes;
    unsigned char code[];
};

static FILE *out;
static bool riscv;
static unsigned pieces;
static uint64_t stretch;
static struct piece *ran;  /* those of this stretch */
static struct piece *last; /* the one that ran last in it */

/* From the code: QEMU 7.2 gives an instruction too many bytes before a border of pages. */
static size_t length(const unsigned char *code)
{
    if (riscv) return (code[0] & 3) == 3 ? 4 : 2;
    return code[1] >= 0xe8 ? 4 : 2;
}

/* 0, 'b' or 'e'. Hints 6 and 7 on Arm; on RISC-V `slti x0, x0, 6` and 7, which the manual keeps for such uses. */
static char mark(const unsigned char *code)
{
    if (riscv) {
        if (code[0] != 0x13 || code[1] != 0x20 || code[3] != 0) return 0;
        return code[2] == 0x60 ? 'b' : code[2] == 0x70 ? 'e' : 0;
    }
    if (code[1] != 0xbf) return 0;
    return code[0] == 0x60 ? 'b' : code[0] == 0x70 ? 'e' : 0;
}

static void enter(unsigned cpu, void *data)
{
    struct piece *piece = data;
    (void)cpu;
    if (piece->stretch != stretch) {
        piece->stretch = stretch;
        piece->runs = piece->left = 0;
        piece->next = ran;
        ran = piece;
    }
    if (last && last->end != piece->start) last->left++;
    piece->runs++;
    last = piece;
}

static void begin(unsigned cpu, void *data)
{
    (void)cpu, (void)data;
    stretch++;
    ran = last = NULL;
}

static void end(unsigned cpu, void *data)
{
    (void)cpu, (void)data;
    for (struct piece *piece = ran; piece; piece = piece->next) {
        if (!piece->named) {
            piece->named = true;
            fprintf(out, "p %u %u ", piece->number, piece->instructions);
            for (size_t i = 0; i < piece->bytes; i++) fprintf(out, "%02x", piece->code[i]);
            fputc('\n', out);
        }
        fprintf(out, "r %u %" PRIu64 " %" PRIu64 "\n", piece->number, piece->runs, piece->left);
    }
    fputs("e\n", out);
    fflush(out);
    begin(cpu, data);
}

/* Cuts a translated block at its marks. */
static void translated(uint64_t id, struct tb *tb)
{
    size_t count = qemu_plugin_tb_n_insns(tb);
    struct piece *piece = NULL;
    (void)id;
    for (size_t i = 0; i < count; i++) {
        struct insn *insn = qemu_plugin_tb_get_insn(tb, i);
        const unsigned char *code = qemu_plugin_insn_data(insn);
        char kind = mark(code);
        if (kind) {
            piece = NULL;
            qemu_plugin_register_vcpu_insn_exec_cb(insn, kind == 'b' ? begin : end, 0, NULL);
            continue;
        }
        if (!piece) {
            piece = calloc(1, sizeof *piece + 4 * (count - i)); /* as long as QEMU lives */
            if (!piece) abort();
            piece->number = pieces++;
            piece->start = piece->end = qemu_plugin_insn_vaddr(insn);
            piece->stretch = UINT64_MAX;
            qemu_plugin_register_vcpu_insn_exec_cb(insn, enter, 0, piece);
        }
        memcpy(piece->code + piece->bytes, code, length(code));
        piece->bytes += length(code);
        piece->instructions++;
        piece->end += length(code);
    }
}

int qemu_plugin_install(uint64_t id, const struct info *info, int count, char **arguments)
{
    riscv = strncmp(info->target_name, "riscv", 5) == 0;
    for (int i = 0; i < count; i++) {
        if (strncmp(arguments[i], "out=", 4) == 0) out = fopen(arguments[i] + 4, "w");
    }
    if (!out) {
        fputs("the counting plugin cannot write its file\n", stderr);
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
