# The tile of a convolution on RV32IM: see layout/words/tile.rs for what the numbers mean.
#
# In: a0 = arguments (its Arguments). Two filters, four pixels at a time: four sums of a block in s0-s3, their
# running totals in s4-s7, those of the upper halves in s8-s11.
    .option push
    .option arch, +m, +c
    .section .text.embernet_rv32_filters, "ax", @progbits
    .global embernet_rv32_filters
    .type embernet_rv32_filters, @function

    .macro embernet_rv32_take sum, total, upper
    add \total, \total, \sum
    add \sum, \sum, t3
    srai \sum, \sum, 16
    add \upper, \upper, \sum
    .endm

    # A sum to int8, stored at a3: t0 twice the bias, t1 multiplier, t2 rounding, a2 shift.
    .macro embernet_rv32_scale sum
    slli \sum, \sum, 1
    add \sum, \sum, t0
    mul a1, \sum, t1
    mulh \sum, \sum, t1
    srli a1, a1, 31
    add \sum, \sum, a1
    srai a1, \sum, 31
    add \sum, \sum, a1
    add \sum, \sum, t2
    sra \sum, \sum, a2
    bge \sum, s0, 8f
    mv \sum, s0
8:  bge s1, \sum, 8f
    mv \sum, s1
8:  sb \sum, 0(a3)
    .endm

    # The outputs of a filter, whose four numbers a4 leads to; a3 to the first pixel's.
    .macro embernet_rv32_outputs total0, upper0, total1, upper1
    lw t0, 0(a4)
    lw t1, 4(a4)
    lw t2, 8(a4)
    lw a2, 12(a4)
    slli a1, \upper0, 16
    sub \total0, \total0, a1
    slli a1, \upper1, 16
    sub \total1, \total1, a1
    embernet_rv32_scale \total0
    add a3, a3, t5
    embernet_rv32_scale \upper0
    add a3, a3, t5
    embernet_rv32_scale \total1
    add a3, a3, t5
    embernet_rv32_scale \upper1
    .endm

embernet_rv32_filters:
    addi sp, sp, -48
    sw s0, 0(sp)
    sw s1, 4(sp)
    sw s2, 8(sp)
    sw s3, 12(sp)
    sw s4, 16(sp)
    sw s5, 20(sp)
    sw s6, 24(sp)
    sw s7, 28(sp)
    sw s8, 32(sp)
    sw s9, 36(sp)
    sw s10, 40(sp)
    sw s11, 44(sp)
    lui t3, 8
    la t4, 3f
    lw t5, 24(a0)
    lw a6, 4(a0)
    li a7, 36
    lw a5, 8(a0)
1:  # Two filters.
    lw a1, 0(a0)
    addi a2, a5, 32
    li s4, 0
    li s5, 0
    li s6, 0
    li s7, 0
    li s8, 0
    li s9, 0
    li s10, 0
    li s11, 0
2:  # A block: its first weights, then as many of 15 more as it has. Pointers go back by those that it lacks.
    lbu t6, 0(a2)
    lb t0, 1(a2)
    lb t1, 2(a2)
    lw a3, 0(a1)
    lw a4, 4(a1)
    andi t6, t6, 15
    mul s0, t0, a3
    mul s1, t0, a4
    mul s2, t1, a3
    mul s3, t1, a4
    slli t2, t6, 1
    sub a2, a2, t2
    slli t2, t6, 3
    sub a1, a1, t2
    mul t6, t6, a7
    add t6, t6, t4
    jr t6
3:
    .irp i, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    lb t0, 2 * \i + 1(a2)
    lb t1, 2 * \i + 2(a2)
    lw a3, 8 * \i(a1)
    lw a4, 8 * \i + 4(a1)
    mul t2, t0, a3
    add s0, s0, t2
    mul t2, t0, a4
    add s1, s1, t2
    mul t2, t1, a3
    add s2, s2, t2
    mul t2, t1, a4
    add s3, s3, t2
    .endr
4:
    embernet_rv32_take s0, s4, s8
    embernet_rv32_take s1, s5, s9
    embernet_rv32_take s2, s6, s10
    embernet_rv32_take s3, s7, s11
    addi a1, a1, 128
    addi a2, a2, 33
    bltu a1, a6, 2b
    lw a3, 20(a0)
    mv a4, a5
    li s0, -128
    li s1, 127
    embernet_rv32_outputs s4, s8, s5, s9
    lw a3, 20(a0)
    lw a2, 28(a0)
    addi a4, a4, 16
    add a3, a3, a2
    addi a1, a3, 1
    sw a1, 20(a0)
    embernet_rv32_outputs s6, s10, s7, s11
    lw a1, 12(a0)
    lw a2, 16(a0)
    add a5, a5, a1
    addi a2, a2, -1
    sw a2, 16(a0)
    bnez a2, 1b
    sw a5, 8(a0)
    lw s0, 0(sp)
    lw s1, 4(sp)
    lw s2, 8(sp)
    lw s3, 12(sp)
    lw s4, 16(sp)
    lw s5, 20(sp)
    lw s6, 24(sp)
    lw s7, 28(sp)
    lw s8, 32(sp)
    lw s9, 36(sp)
    lw s10, 40(sp)
    lw s11, 44(sp)
    addi sp, sp, 48
    ret
    .size embernet_rv32_filters, . - embernet_rv32_filters
    .option pop
