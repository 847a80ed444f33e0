# A dense layer on RV32IM: see layout/words/octet.rs for what the numbers mean.
#
# In: a0 = arguments (its Arguments). Eight filters at a time: sums of a block in t0 to t3, two for each four filters,
# that of the inputs in t4; totals in s0 to s3, those of the upper halves in s4 to s7. a1 walks along the inputs, a2 and
# a5 along both fours' words.
    .option push
    .option arch, +m, +c
    .section .text.embernet_rv32_dense, "ax", @progbits
    .global embernet_rv32_dense
    .type embernet_rv32_dense, @function

    # An input's products with four weights.
    .macro embernet_rv32_four from, at, even, odd
    lw t5, 4 * \at(\from)
    and t6, t5, s8
    mul t6, t6, a4
    srli t5, t5, 8
    mul t5, t5, a4
    add \even, \even, t6
    add \odd, \odd, t5
    .endm

    # The end of a block, whose inputs' sum times what was added to their weights is in t5 and t6.
    .macro embernet_rv32_block even, odd, totals, totals_odd, uppers, uppers_odd
    sub \even, \even, t5
    add \totals, \totals, \even
    srai \even, \even, 16
    add \uppers, \uppers, \even
    slli \even, \even, 8
    sub \odd, \odd, t6
    sub \odd, \odd, \even
    add \totals_odd, \totals_odd, \odd
    srai \odd, \odd, 16
    add \uppers_odd, \uppers_odd, \odd
    .endm

    # Four doubled sums onto the stack.
    .macro embernet_rv32_sums at, total, total_odd, upper, upper_odd
    slli t0, \upper, 16
    sub t0, \total, t0
    slli t1, \upper_odd, 16
    sub t1, \total_odd, t1
    .irp sum, t0, t1, \upper, \upper_odd
    slli \sum, \sum, 1
    .endr
    sw t0, \at(sp)
    sw t1, \at + 4(sp)
    sw \upper, \at + 8(sp)
    sw \upper_odd, \at + 12(sp)
    .endm

embernet_rv32_dense:
    addi sp, sp, -80
    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    sw s\i, 32 + 4 * \i(sp)
    .endr
    lw a6, 4(a0)
    la a7, 3f
    li s8, 0x00ff00ff
    lui s9, 8
    li s10, 0x00800080
    li s11, 0x00808080
1:  # Eight filters.
    lw a1, 0(a0)
    lw a2, 8(a0)
    lw a3, 24(a0)
    andi a3, a3, 64
    add a2, a2, a3
    addi a2, a2, 64
    .irp sum, s0, s1, s2, s3, s4, s5, s6, s7
    li \sum, 0
    .endr
2:  # A block, unless it is longer than what is left: how many of 16 inputs it lacks. Pointers go back by those.
    lw a3, 0(a2)
    andi a3, a3, 15
    sub a4, a6, a1
    add a4, a4, a3
    addi a4, a4, -16
    bltz a4, 4f
    li t4, 0
    mv t0, s9
    mv t1, s9
    lw t5, 24(a0)
    beqz t5, 7f
    sub a1, a1, a3
    slli a4, a3, 2
    sub a2, a2, a4
    addi a2, a2, 4
    li a5, 64
    sub a5, a5, a4
    add a5, a5, a2
    mv t2, s9
    mv t3, s9
    slli a3, a3, 6
    add a3, a3, a7
    jr a3
    .balign 4
3:
    .option push
    .option norvc
    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    lb a4, \i(a1)
    embernet_rv32_four a2, \i, t0, t1
    add t4, t4, a4
    embernet_rv32_four a5, \i, t2, t3
    .endr
    .option pop
9:  mul t5, t4, s10
    mul t6, t4, s11
    embernet_rv32_block t0, t1, s0, s1, s4, s5
    embernet_rv32_block t2, t3, s2, s3, s6, s7
    addi a1, a1, 16
    addi a2, a5, 64
    bltu a1, a6, 2b
    j 4f
7:  # A block of one four, input by input.
    li a5, 16
    sub a3, a5, a3
    add a3, a3, a1
8:  lb a4, 0(a1)
    embernet_rv32_four a2, 1, t0, t1
    addi a1, a1, 1
    addi a2, a2, 4
    add t4, t4, a4
    bne a1, a3, 8b
    # As the other loop leaves them.
    addi a1, a1, -16
    addi a5, a2, 4 - 64
    j 9b
4:  # Outputs: as many as there are numbers before the first block.
    embernet_rv32_sums 0, s0, s1, s4, s5
    embernet_rv32_sums 16, s2, s3, s6, s7
    lw a2, 8(a0)
    lw a3, 24(a0)
    lw a1, 20(a0)
    lw a4, 12(a0)
    andi a3, a3, 4
    addi a3, a3, 4
    add a4, a4, a2
    sw a4, 8(a0)
    add a3, a3, a1
    sw a3, 20(a0)
    mv a5, sp
    li s0, -128
    li s1, 127
5:  lw a4, 0(a5)
    lw t0, 0(a2)
    lw t1, 4(a2)
    lw t2, 8(a2)
    lw t3, 12(a2)
    addi a5, a5, 4
    addi a2, a2, 16
    add a4, a4, t0
    mulhsu a4, a4, t1
    addi a4, a4, 1
    srai t4, a4, 31
    add a4, a4, t4
    add a4, a4, t4
    add a4, a4, t2
    sra a4, a4, t3
    bge a4, s0, 6f
    mv a4, s0
6:  bge s1, a4, 6f
    mv a4, s1
6:  sb a4, 0(a1)
    addi a1, a1, 1
    bne a1, a3, 5b
    lw a2, 16(a0)
    addi a2, a2, -1
    sw a2, 16(a0)
    bnez a2, 1b
    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    lw s\i, 32 + 4 * \i(sp)
    .endr
    addi sp, sp, 80
    ret
    .size embernet_rv32_dense, . - embernet_rv32_dense
    .option pop
