# A dense layer on RV32IM: see layout/words/quad.rs for what the numbers mean.
#
# In: a0 = arguments (its Arguments). Four filters at a time: two sums of a block in t0 and t1, that of the
# inputs in t2; totals in s0 and s1, those of the upper halves in s2 and s3.
    .option push
    .option arch, +m, +c
    .section .text.embernet_rv32_dense, "ax", @progbits
    .global embernet_rv32_dense
    .type embernet_rv32_dense, @function

    .macro embernet_rv32_output sum
    lw a1, 0(a6)
    lw a2, 4(a6)
    lw a3, 8(a6)
    lw a4, 12(a6)
    addi a6, a6, 16
    slli \sum, \sum, 1
    add \sum, \sum, a1
    mul a1, \sum, a2
    mulh \sum, \sum, a2
    srli a1, a1, 31
    add \sum, \sum, a1
    srai a1, \sum, 31
    add \sum, \sum, a1
    add \sum, \sum, a3
    sra \sum, \sum, a4
    li a1, -128
    bge \sum, a1, 8f
    mv \sum, a1
8:  li a1, 127
    bge a1, \sum, 8f
    mv \sum, a1
8:  sb \sum, 0(a7)
    addi a7, a7, 1
    .endm

embernet_rv32_dense:
    addi sp, sp, -16
    sw s0, 0(sp)
    sw s1, 4(sp)
    sw s2, 8(sp)
    sw s3, 12(sp)
    lw a5, 4(a0)
    lw a6, 8(a0)
    lw a7, 20(a0)
    li t3, 0x00ff00ff
    la t4, 3f
    lui t5, 8
1:  # Four filters.
    lw a1, 0(a0)
    addi a2, a6, 64
    li s0, 0
    li s1, 0
    li s2, 0
    li s3, 0
2:  # A block, unless it is longer than what is left: how many of 16 inputs it lacks. Pointers go back by those.
    lw a3, 0(a2)
    andi a3, a3, 15
    sub a4, a5, a1
    add a4, a4, a3
    addi a4, a4, -16
    bltz a4, 4f
    li t0, 0
    li t1, 0
    li t2, 0
    sub a1, a1, a3
    slli a4, a3, 2
    sub a2, a2, a4
    slli a3, a3, 5
    add a3, a3, t4
    jr a3
    .balign 4
3:
    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    .option push
    .option norvc
    lw a3, 4 * \i + 4(a2)
    lb a4, \i(a1)
    .option pop
    add t2, t2, a4
    and t6, a3, t3
    srli a3, a3, 8
    and a3, a3, t3
    mul t6, t6, a4
    add t0, t0, t6
    mul a3, a3, a4
    add t1, t1, a3
    .endr
    addi a1, a1, 16
    addi a2, a2, 68
    slli a3, t2, 7
    slli a4, t2, 23
    add a3, a3, a4
    sub t0, t0, a3
    sub t1, t1, a3
    add s0, s0, t0
    add s1, s1, t1
    add t0, t0, t5
    add t1, t1, t5
    srai t0, t0, 16
    srai t1, t1, 16
    add s2, s2, t0
    add s3, s3, t1
    bltu a1, a5, 2b
4:  slli a1, s2, 16
    slli a2, s3, 16
    sub s0, s0, a1
    sub s1, s1, a2
    mv t0, a6
    embernet_rv32_output s0
    embernet_rv32_output s1
    embernet_rv32_output s2
    embernet_rv32_output s3
    lw a1, 12(a0)
    lw a2, 16(a0)
    add a6, t0, a1
    addi a2, a2, -1
    sw a2, 16(a0)
    bnez a2, 1b
    sw a6, 8(a0)
    lw s0, 0(sp)
    lw s1, 4(sp)
    lw s2, 8(sp)
    lw s3, 12(sp)
    addi sp, sp, 16
    ret
    .size embernet_rv32_dense, . - embernet_rv32_dense
    .option pop
