# Gathering on RV32IM.
    .option push
    .option arch, +m, +c

# A byte of six pixels, from a0 and t0 to t4, into four words at a1; see layout/words/six.rs.
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

    # One byte of each, or several, and on.
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

# a5 bytes of each: fours up to t6, and what is left up to a6.
    .section .text.embernet_rv32_place, "ax", @progbits
    .type embernet_rv32_place, @function
embernet_rv32_place:
    add a6, a0, a5
    andi t6, a5, -4
    add t6, t6, a0
    beq a0, t6, 2f
1:  embernet_rv32_bytes 4, 0, 1, 2, 3
    bne a0, t6, 1b
2:  beq a0, a6, 4f
3:  embernet_rv32_bytes 1, 0
    bne a0, a6, 3b
4:  ret
    .size embernet_rv32_place, . - embernet_rv32_place

# The patches of a whole tile, all pixels as far apart: see layout/words/tile.rs. s0 counts rows, s1 is what to skip.
    .global embernet_rv32_place_tile
    .type embernet_rv32_place_tile, @function
embernet_rv32_place_tile:
    addi sp, sp, -16
    sw ra, 0(sp)
    sw s0, 4(sp)
    sw s1, 8(sp)
    lw a1, 4(a0)
    lw a2, 8(a0)
    lw a5, 12(a0)
    lw s0, 16(a0)
    lw s1, 20(a0)
    lw a0, 0(a0)
    add t0, a0, a2
    add t1, t0, a2
    add t2, t1, a2
    add t3, t2, a2
    add t4, t3, a2
1:  jal embernet_rv32_place
    addi s0, s0, -1
    .irp x, a0, t0, t1, t2, t3, t4
    add \x, \x, s1
    .endr
    bnez s0, 1b
    lw ra, 0(sp)
    lw s0, 4(sp)
    lw s1, 8(sp)
    addi sp, sp, 16
    ret
    .size embernet_rv32_place_tile, . - embernet_rv32_place_tile

# The patches of a whole tile, wherever its pixels lie: see layout/words/six.rs. Tap by tap: s1 is how far the tap lies
# from the first one in bytes, s2 in rows, s3 in columns; s4, s5 are the rows and columns of the input, s6 what lies beside
# it, s7, s8 count the taps down; s0 is the arguments.
    .global embernet_rv32_place_windows
    .type embernet_rv32_place_windows, @function

    .macro embernet_rv32_window at, x
    lw a2, 48 + 12 * \at(s0)
    lw a3, 52 + 12 * \at(s0)
    lw \x, 44 + 12 * \at(s0)
    add a2, a2, s2
    add a3, a3, s3
    add \x, \x, s1
    bgeu a2, s4, 8f
    bltu a3, s5, 9f
8:  mv \x, s6
9:
    .endm

embernet_rv32_place_windows:
    addi sp, sp, -48
    sw ra, 0(sp)
    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8
    sw s\i, 4 + 4 * \i(sp)
    .endr
    mv s0, a0
    lw a1, 0(s0)
    lw s6, 4(s0)
    lw a5, 8(s0)
    lw s4, 12(s0)
    lw s5, 16(s0)
    lw s7, 20(s0)
    li s1, 0
    li s2, 0
1:  # A row of taps.
    lw s8, 24(s0)
    li s3, 0
2:  embernet_rv32_window 0, a0
    embernet_rv32_window 1, t0
    embernet_rv32_window 2, t1
    embernet_rv32_window 3, t2
    embernet_rv32_window 4, t3
    embernet_rv32_window 5, t4
    jal embernet_rv32_place
    lw a2, 32(s0)
    lw a3, 36(s0)
    addi s8, s8, -1
    add s3, s3, a2
    add s1, s1, a3
    bnez s8, 2b
    lw a2, 28(s0)
    lw a3, 40(s0)
    addi s7, s7, -1
    add s2, s2, a2
    add s1, s1, a3
    bnez s7, 1b
    lw ra, 0(sp)
    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8
    lw s\i, 4 + 4 * \i(sp)
    .endr
    addi sp, sp, 48
    ret
    .size embernet_rv32_place_windows, . - embernet_rv32_place_windows

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
