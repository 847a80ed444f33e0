# A depthwise 3x3 convolution on RV32IM: see layout/words/band.rs for what the numbers mean.
#
# In: a0 = arguments (its Arguments). One channel at a time: its nine weights, doubled, stay in s0-s8.
    .option push
    .option arch, +m, +c
    .section .text.embernet_rv32_band, "ax", @progbits
    .global embernet_rv32_band
    .type embernet_rv32_band, @function

    .macro embernet_rv32_tap at, weight
    lbu a5, 4 * \at(a1)
    mul a5, a5, \weight
    add a4, a4, a5
    .endm

embernet_rv32_band:
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
    lw a6, 12(a0)
    lw a7, 16(a0)
    lw s11, 20(a0)
    li t1, 4
    li t2, -128
    li s9, 127
1:  # A channel.
    lw a1, 0(a0)
    lw a2, 4(a0)
    lw a3, 8(a0)
    addi a4, a1, 1
    sw a4, 0(a0)
    addi a4, a2, 28
    sw a4, 4(a0)
    addi a4, a3, 1
    sw a4, 8(a0)
    lw t3, 0(a2)
    lw t4, 4(a2)
    lw t5, 8(a2)
    lw t6, 12(a2)
    lb s0, 16(a2)
    lb s1, 17(a2)
    lb s2, 18(a2)
    lb s3, 19(a2)
    lb s4, 20(a2)
    lb s5, 21(a2)
    lb s6, 22(a2)
    lb s7, 23(a2)
    lb s8, 24(a2)
    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8
    slli s\i, s\i, 1
    .endr
    lw s10, 28(a0)
2:  # A row.
    lw t0, 24(a0)
    mv a2, a3
    add t0, t0, a1
3:  # An output.
    lbu a4, 0(a1)
    mul a4, a4, s0
    embernet_rv32_tap 1, s1
    embernet_rv32_tap 2, s2
    add a1, a1, a6
    embernet_rv32_tap 0, s3
    embernet_rv32_tap 1, s4
    embernet_rv32_tap 2, s5
    add a1, a1, a6
    embernet_rv32_tap 0, s6
    embernet_rv32_tap 1, s7
    embernet_rv32_tap 2, s8
    add a4, a4, t3
    mulhsu a4, a4, t4
    bltz t6, 6f
    addi a4, a4, 1
    srai a5, a4, 31
    add a4, a4, a5
    add a4, a4, a5
6:  add a4, a4, t5
    sra a4, a4, t6
    bge a4, t2, 4f
    mv a4, t2
4:  bge s9, a4, 5f
    mv a4, s9
5:  sb a4, 0(a2)
    add a1, a1, a7
    add a2, a2, s11
    bne a1, t0, 3b
    lw a4, 24(a0)
    lw a5, 32(a0)
    sub a1, a1, a4
    add a1, a1, a5
    lw a5, 36(a0)
    add a3, a3, a5
    addi s10, s10, -1
    bnez s10, 2b
    addi t1, t1, -1
    bnez t1, 1b
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
    .size embernet_rv32_band, . - embernet_rv32_band
    .option pop
