# Gathering on RV32IM.
    .option push
    .option arch, +m, +c

# Bytes from a0 up to a1 into every second word from a2 on: as lower halves, or if a3 is not 0 as upper ones.
    .section .text.embernet_rv32_place, "ax", @progbits
    .global embernet_rv32_place
    .type embernet_rv32_place, @function
embernet_rv32_place:
    addi a1, a1, -1
    beqz a3, 3f
1:  bgeu a0, a1, 2f
    lb a3, 0(a0)
    lb a4, 1(a0)
    lh a5, 0(a2)
    lh a6, 8(a2)
    slli a3, a3, 16
    slli a4, a4, 16
    add a3, a3, a5
    add a4, a4, a6
    sw a3, 0(a2)
    sw a4, 8(a2)
    addi a0, a0, 2
    addi a2, a2, 16
    j 1b
2:  bne a0, a1, 5f
    lb a3, 0(a0)
    lh a5, 0(a2)
    slli a3, a3, 16
    add a3, a3, a5
    sw a3, 0(a2)
    ret
3:  bgeu a0, a1, 4f
    lb a3, 0(a0)
    lb a4, 1(a0)
    sw a3, 0(a2)
    sw a4, 8(a2)
    addi a0, a0, 2
    addi a2, a2, 16
    j 3b
4:  bne a0, a1, 5f
    lb a3, 0(a0)
    sw a3, 0(a2)
5:  ret
    .size embernet_rv32_place, . - embernet_rv32_place

# The patches of a whole tile: see layout/words/tile.rs.
    .section .text.embernet_rv32_place_tile, "ax", @progbits
    .global embernet_rv32_place_tile
    .type embernet_rv32_place_tile, @function
embernet_rv32_place_tile:
    lw a1, 4(a0)
    lw a2, 8(a0)
    lw t3, 12(a0)
    lw t4, 16(a0)
    lw t5, 20(a0)
    lw a0, 0(a0)
    add t0, a0, a2
    add t1, t0, a2
    add t2, t1, a2
1:  add t6, a0, t3
2:  lb a2, 0(a0)
    lb a3, 0(t0)
    lb a4, 0(t1)
    lb a5, 0(t2)
    slli a3, a3, 16
    slli a5, a5, 16
    add a2, a2, a3
    add a4, a4, a5
    sw a2, 0(a1)
    sw a4, 4(a1)
    addi a0, a0, 1
    addi t0, t0, 1
    addi t1, t1, 1
    addi t2, t2, 1
    addi a1, a1, 8
    bne a0, t6, 2b
    add a0, a0, t5
    add t0, t0, t5
    add t1, t1, t5
    add t2, t2, t5
    addi t4, t4, -1
    bnez t4, 1b
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
