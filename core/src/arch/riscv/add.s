# Sums of int8 on RV32IM: see arch/sums.rs for the numbers, which go to t0 to t6 and a7, in order.
    .option push
    .option arch, +m, +c

    # a5, twice an input or a sum, scaled: its mantissa, rounding and power.
    .macro embernet_rv32_add_scale mantissa, rounding, power
    mulhsu a5, a5, \mantissa
    addi a5, a5, 1
    srai a6, a5, 31
    add a5, a5, a6
    add a5, a5, a6
    add a5, a5, \rounding
    sra a5, a5, \power
    .endm

    .macro embernet_rv32_add_one at
    lb a5, \at(a1)
    slli a5, a5, 21
    add a5, a5, t1
    embernet_rv32_add_scale t2, t3, t4
    lb a6, \at(a0)
    slli a5, a5, 1
    slli a6, a6, 20
    add a5, a5, a6
    add a5, a5, t0
    embernet_rv32_add_scale t5, t6, a7
    bge a5, s0, 8f
    mv a5, s0
8:  bge s1, a5, 8f
    mv a5, s1
8:  sb a5, \at(a2)
    .endm

    # One or two elements, and on.
    .macro embernet_rv32_add_some count, which:vararg
    .irp at, \which
    embernet_rv32_add_one \at
    .endr
    addi a0, a0, \count
    addi a1, a1, \count
    addi a2, a2, \count
    .endm

# a0: a, a1: b, a2: y, a3: how many, at least one, a4: where the eight numbers lie.
    .section .text.embernet_rv32_add, "ax", @progbits
    .global embernet_rv32_add
    .type embernet_rv32_add, @function
embernet_rv32_add:
    addi sp, sp, -16
    sw s0, 0(sp)
    sw s1, 4(sp)
    li s0, -128
    li s1, 127
    lw t0, 0(a4)
    lw t1, 4(a4)
    lw t2, 8(a4)
    lw t3, 12(a4)
    lw t4, 16(a4)
    lw t5, 20(a4)
    lw t6, 24(a4)
    lw a7, 28(a4)
    andi a4, a3, 1
    add a3, a3, a2
    beqz a4, 1f
    embernet_rv32_add_some 1, 0
    beq a2, a3, 2f
1:  embernet_rv32_add_some 2, 0, 1
    bne a2, a3, 1b
2:  lw s0, 0(sp)
    lw s1, 4(sp)
    addi sp, sp, 16
    ret
    .size embernet_rv32_add, . - embernet_rv32_add
    .option pop
