# A dense layer on RV32IM: see layout/words/octet.rs for what the numbers mean.
#
# In: a0 = arguments (its Arguments). Eight filters at a time: sums of a block in t0 to t3, two for each four filters,
# that of the inputs in t4; totals in s0 to s3, those of the upper halves in s4 to s7. a1 walks along the inputs, a2 and
# a5 along both fours' words. ra: whether there is one four only.
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

    # Four doubled sums, in place of totals and upper halves.
    .macro embernet_rv32_sums total, total_odd, upper, upper_odd
    slli t0, \upper, 16
    sub \total, \total, t0
    slli t1, \upper_odd, 16
    sub \total_odd, \total_odd, t1
    .irp sum, \total, \total_odd, \upper, \upper_odd
    slli \sum, \sum, 1
    .endr
    .endm

    # A doubled sum to int8, stored.
    .macro embernet_rv32_output sum, at
    lw t0, 16 * \at(a2)
    lw t1, 16 * \at + 4(a2)
    lw t2, 16 * \at + 8(a2)
    lw t3, 16 * \at + 12(a2)
    add t0, t0, \sum
    mulhsu t0, t0, t1
    bltz t3, 11f
    addi t0, t0, 1
    srai t4, t0, 31
    add t0, t0, t4
    add t0, t0, t4
11: add t0, t0, t2
    sra t0, t0, t3
    bge t0, t5, 11f
    mv t0, t5
11: bge t6, t0, 11f
    mv t0, t6
11: sb t0, \at(a1)
    .endm

embernet_rv32_dense:
    addi sp, sp, -64
    sw ra, 0(sp)
    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    sw s\i, 4 + 4 * \i(sp)
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
    lw a3, 16(a0)
    addi a2, a2, 64
    slti ra, a3, 5
    .irp sum, s0, s1, s2, s3, s4, s5, s6, s7
    li \sum, 0
    .endr
    bnez ra, 2f
    addi a2, a2, 64
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
    bnez ra, 7f
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
4:  # Outputs: fours, the last of them first, or as many as are left.
    lw a2, 8(a0)
    lw a3, 16(a0)
    lw a1, 20(a0)
    lw a4, 12(a0)
    add a4, a4, a2
    sw a4, 8(a0)
    li t5, -128
    li t6, 127
    li a4, 4
    embernet_rv32_sums s0, s1, s4, s5
    bge a3, a4, 5f
    li a4, 2
    beq a3, a4, 7f
    blt a3, a4, 8f
    j 6f
5:  embernet_rv32_output s5, 3
6:  embernet_rv32_output s4, 2
7:  embernet_rv32_output s1, 1
8:  embernet_rv32_output s0, 0
    # The other four, unless these were they.
    addi a3, a3, -4
    addi a1, a1, 4
    blez a3, 10f
    bltz ra, 9f
    embernet_rv32_sums s2, s3, s6, s7
    mv s0, s2
    mv s1, s3
    mv s4, s6
    mv s5, s7
    addi a2, a2, 64
    li ra, -1
    bge a3, a4, 5b
    li a4, 2
    beq a3, a4, 7b
    blt a3, a4, 8b
    j 6b
9:  sw a3, 16(a0)
    sw a1, 20(a0)
    j 1b
10: lw ra, 0(sp)
    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    lw s\i, 4 + 4 * \i(sp)
    .endr
    addi sp, sp, 64
    ret
    .size embernet_rv32_dense, . - embernet_rv32_dense
    .option pop
