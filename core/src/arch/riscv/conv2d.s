# The tile of a convolution on RV32IM: see layout/words/six.rs for what the numbers mean.
#
# In: a0 = arguments (its Arguments). Four filters at a time, a word each for three pixels' first and second: filter 0
# in s0-s3, 1 in s4-s7, 2 in s8-s11, 3 in a4-a7; t0-t3 the inputs, a1 walks along them up to a3, a2 along the stream.
    .option push
    .option arch, +m, +c
    .section .text.embernet_rv32_filters, "ax", @progbits
    .global embernet_rv32_filters
    .type embernet_rv32_filters, @function

    # A filter's weight times six inputs.
    .macro embernet_rv32_products at, sum0, sum1, sum2, sum3
    lb t4, \at(a2)
    mul t5, t4, t0
    add \sum0, \sum0, t5
    mul t5, t4, t1
    add \sum1, \sum1, t5
    mul t5, t4, t2
    add \sum2, \sum2, t5
    mul t5, t4, t3
    add \sum3, \sum3, t5
    .endm

    # Four filters' weights times six inputs, some indices.
    .macro embernet_rv32_indices which:vararg
    .irp i, \which
    lw t0, 16 * \i(a1)
    lw t1, 16 * \i + 4(a1)
    lw t2, 16 * \i + 8(a1)
    lw t3, 16 * \i + 12(a1)
    embernet_rv32_products 4 * \i, s0, s1, s2, s3
    embernet_rv32_products 4 * \i + 1, s4, s5, s6, s7
    embernet_rv32_products 4 * \i + 2, s8, s9, s10, s11
    embernet_rv32_products 4 * \i + 3, a4, a5, a6, a7
    .endr
    .endm

    # A doubled sum to int8, stored at s6: t0 to t3 its filter's numbers.
    .macro embernet_rv32_scale clipped, sum
    add \sum, \sum, t0
    mulhsu \sum, \sum, t1
    .if !\clipped
    addi \sum, \sum, 1
    srai t5, \sum, 31
    add \sum, \sum, t5
    add \sum, \sum, t5
    .endif
    add \sum, \sum, t2
    sra \sum, \sum, t3
    bge \sum, s9, 9f
    mv \sum, s9
9:  bge s10, \sum, 9f
    mv \sum, s10
9:  sb \sum, 0(s6)
    add s6, s6, s7
    .endm

    # Two words of a filter: the first pixel's doubled sum in a4, the second's in a5, the third's in a6.
    .macro embernet_rv32_outputs clipped, again
    lw a4, 0(s0)
    lw a5, 4(s0)
    addi s0, s0, 8
    # The first word less 2^11 times the second is the first sum less 2^11 times the second one.
    slli a6, a5, 11
    sub a6, a4, a6
    slli a4, a4, 11
    srai a4, a4, 11
    sub a6, a4, a6
    slli a4, a4, 1
    # Twice the second word: twice the second sum, and the third one above it.
    slli a7, a5, 1
    srai a5, a6, 10
    sub a6, a7, a5
    srai a6, a6, 10
    beqz s4, 11f
    lw t4, 0(s1)
    lw t5, 4(s1)
    lw a7, 8(s1)
    add a4, a4, t4
    add a5, a5, t5
    add a6, a6, a7
11: beqz s5, 12f
    sw a4, 0(s1)
    sw a5, 4(s1)
    sw a6, 8(s1)
    j 13f
12: embernet_rv32_scale \clipped, a4
    embernet_rv32_scale \clipped, a5
    embernet_rv32_scale \clipped, a6
13: addi s1, s1, 12
    addi s11, s11, -1
    bnez s11, \again
    .endm

    # The frame: words with sums, doubled sums of earlier blocks, registers.
    .equ .Ltotals, 64
    .equ .Lsaved, 160
    .equ .Lframe, 224

embernet_rv32_filters:
    addi sp, sp, -.Lframe
    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    sw s\i, .Lsaved + 4 * \i(sp)
    .endr
    lw a2, 12(a0)
1:  # Four filters.
    lw a1, 0(a0)
    addi a2, a2, 64
2:  # A block.
    lw a3, 8(a0)
    lw t6, 4(a0)
    add a3, a3, a1
    bleu a3, t6, 3f
    mv a3, t6
3:
    .irp sum, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, a4, a5, a6, a7
    li \sum, 0
    .endr
    # Eight indices a round, which an odd four enters half way.
    sub t6, a3, a1
    andi t6, t6, 64
    beqz t6, 4f
    addi a1, a1, -64
    addi a2, a2, -16
    j 5f
4:  embernet_rv32_indices 0, 1, 2, 3
5:  embernet_rv32_indices 4, 5, 6, 7
    addi a1, a1, 128
    addi a2, a2, 32
    bltu a1, a3, 4b
    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    sw s\i, 4 * \i(sp)
    .endr
    sw a4, 48(sp)
    sw a5, 52(sp)
    sw a6, 56(sp)
    sw a7, 60(sp)
    # s0: words with sums, up to s2; s1: totals; s4: whether these count; s5: whether another block follows; s6, s7:
    # outputs and their distance; s8: numbers; s9, s10: limits.
    mv s0, sp
    addi s1, sp, .Ltotals
    addi s2, sp, 64
    lw s4, 0(a0)
    lw s5, 8(a0)
    add s4, s4, s5
    sltu s4, s4, a3
    lw s5, 4(a0)
    sltu s5, a3, s5
    lw s6, 20(a0)
    lw s7, 24(a0)
    lw s8, 12(a0)
    li s9, -128
    li s10, 127
6:  # A filter.
    lw t0, 0(s8)
    lw t1, 4(s8)
    lw t2, 8(s8)
    lw t3, 12(s8)
    addi s8, s8, 16
    mv t6, s6
    li s11, 2
    bltz t3, 8f
7:  embernet_rv32_outputs 0, 7b
    j 10f
8:  embernet_rv32_outputs 1, 8b
10:
    addi s6, t6, 1
    bltu s0, s2, 6b
    bnez s5, 2b
    # The next four.
    lw t0, 16(a0)
    sw a2, 12(a0)
    sw s6, 20(a0)
    addi t0, t0, -1
    sw t0, 16(a0)
    bnez t0, 1b
    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    lw s\i, .Lsaved + 4 * \i(sp)
    .endr
    addi sp, sp, .Lframe
    ret
    .size embernet_rv32_filters, . - embernet_rv32_filters
    .option pop
