# Gathering on RV32IM.
    .option push
    .option arch, +m, +c

# Bytes from a0 up to a1, as the first or second of three, into every fourth word from a2 on; or if a3 is not 0 as the
# third, into two words that have the others. See layout/words/six.rs.
    .section .text.embernet_rv32_place, "ax", @progbits
    .global embernet_rv32_place
    .type embernet_rv32_place, @function
embernet_rv32_place:
    bnez a3, 2f
1:  lb a3, 0(a0)
    addi a0, a0, 1
    sw a3, 0(a2)
    addi a2, a2, 16
    bne a0, a1, 1b
    ret
2:  lb a3, 0(a0)
    lb a4, 0(a2)
    lb a5, 4(a2)
    addi a0, a0, 1
    slli a6, a3, 21
    slli a3, a3, 10
    add a4, a4, a6
    add a5, a5, a3
    sw a4, 0(a2)
    sw a5, 4(a2)
    addi a2, a2, 16
    bne a0, a1, 2b
    ret
    .size embernet_rv32_place, . - embernet_rv32_place

# The patches of a whole tile.
    .section .text.embernet_rv32_place_tile, "ax", @progbits
    .global embernet_rv32_place_tile
    .type embernet_rv32_place_tile, @function

    # Bytes at three places into two words.
    .macro embernet_rv32_three x0, x1, x2, from, to
    lb a2, \from(\x0)
    lb a3, \from(\x1)
    lb a4, \from(\x2)
    slli a7, a4, 21
    slli a4, a4, 10
    add a2, a2, a7
    add a3, a3, a4
    sw a2, \to(a1)
    sw a3, \to + 4(a1)
    .endm

    # A byte of each pixel, or several: into so many times 16 bytes.
    .macro embernet_rv32_bytes count, which:vararg
    .irp i, \which
    embernet_rv32_three a0, t0, t1, \i, 16 * \i
    embernet_rv32_three t2, t3, t4, \i, 16 * \i + 8
    .endr
    .irp x, a0, t0, t1, t2, t3, t4
    addi \x, \x, \count
    .endr
    addi a1, a1, 16 * \count
    .endm

embernet_rv32_place_tile:
    addi sp, sp, -16
    sw s0, 0(sp)
    lw a1, 4(a0)
    lw a2, 8(a0)
    lw a5, 12(a0)
    lw t5, 16(a0)
    lw a6, 20(a0)
    lw a0, 0(a0)
    add t0, a0, a2
    add t1, t0, a2
    add t2, t1, a2
    add t3, t2, a2
    add t4, t3, a2
1:  # A row: its fours, up to t6, and what is left, up to s0.
    add s0, a0, a5
    andi t6, a5, -4
    add t6, t6, a0
    beq a0, t6, 3f
2:  embernet_rv32_bytes 4, 0, 1, 2, 3
    bne a0, t6, 2b
3:  beq a0, s0, 5f
4:  embernet_rv32_bytes 1, 0
    bne a0, s0, 4b
5:  .irp x, a0, t0, t1, t2, t3, t4
    add \x, \x, a6
    .endr
    addi t5, t5, -1
    bnez t5, 1b
    lw s0, 0(sp)
    addi sp, sp, 16
    ret
    .size embernet_rv32_place_tile, . - embernet_rv32_place_tile

# A band of a depthwise convolution: words from a0 on, 128 added to each byte; see layout/words/band.rs.
    .section .text.embernet_rv32_gather, "ax", @progbits
    .global embernet_rv32_gather
    .type embernet_rv32_gather, @function
embernet_rv32_gather:
    lw a1, 4(a0)
    lw a2, 8(a0)
    lw a3, 12(a0)
    lw t0, 16(a0)
    lw a6, 20(a0)
    lw a7, 24(a0)
    lw a0, 0(a0)
    li t1, 0x80808080
1:  mv a5, t0
2:  lw a4, 0(a0)
    add a0, a0, a3
    xor a4, a4, t1
    sw a4, 0(a2)
    addi a2, a2, 4
    addi a5, a5, -1
    bnez a5, 2b
    add a0, a0, a6
    add a2, a2, a7
    addi a1, a1, -1
    bnez a1, 1b
    ret
    .size embernet_rv32_gather, . - embernet_rv32_gather
    .option pop
