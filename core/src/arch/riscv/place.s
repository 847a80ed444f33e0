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
    .macro embernet_rv32_three x0, x1, x2, to
    lb a2, 0(\x0)
    lb a3, 0(\x1)
    lb a4, 0(\x2)
    addi \x0, \x0, 1
    addi \x1, \x1, 1
    addi \x2, \x2, 1
    slli a7, a4, 21
    slli a4, a4, 10
    add a2, a2, a7
    add a3, a3, a4
    sw a2, \to(a1)
    sw a3, \to + 4(a1)
    .endm

embernet_rv32_place_tile:
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
1:  add t6, a0, a5
2:  embernet_rv32_three a0, t0, t1, 0
    embernet_rv32_three t2, t3, t4, 8
    addi a1, a1, 16
    bne a0, t6, 2b
    .irp x, a0, t0, t1, t2, t3, t4
    add \x, \x, a6
    .endr
    addi t5, t5, -1
    bnez t5, 1b
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
