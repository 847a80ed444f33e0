@ A depthwise 3x3 convolution on a core with 16-bit instructions only (Cortex-M0): see layout/words/band.rs for
@ what the numbers mean.
@
@ In: r0 = arguments (its Arguments). One channel at a time: its weights lie on the stack as words.
    .syntax unified
    .thumb
    .section .text.embernet_thumb1_band, "ax", %progbits
    .global embernet_thumb1_band
    .type embernet_thumb1_band, %function
    .thumb_func

    .macro embernet_thumb1_tap at, weight
    ldrb r3, [r0, #4 * \at]
    ldr r2, [sp, #4 * \weight]
    muls r3, r2, r3
    adds r4, r4, r3
    .endm

embernet_thumb1_band:
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4-r7}
    sub sp, sp, #76
    mov r7, r0
    ldr r1, [r7, #12]
    mov r8, r1
    ldr r1, [r7, #16]
    mov r9, r1
    ldr r1, [r7, #20]
    mov r10, r1
    movs r1, #4
    str r1, [sp, #60]
1:  @ A channel.
    ldr r0, [r7]
    ldr r1, [r7, #4]
    adds r2, r0, #1
    str r2, [r7]
    ldr r2, [r1]
    str r2, [sp, #36]
    ldr r2, [r1, #4]
    uxth r3, r2
    str r3, [sp, #40]
    lsrs r2, r2, #16
    str r2, [sp, #44]
    ldr r2, [r1, #8]
    str r2, [sp, #48]
    ldr r2, [r1, #12]
    str r2, [sp, #52]
    adds r1, r1, #16
    mov r5, sp
    movs r3, #0
5:  ldrsb r2, [r1, r3]
    adds r3, r3, #1
    stm r5!, {r2}
    cmp r3, #9
    bne 5b
    adds r1, r1, #12
    str r1, [r7, #4]
    ldr r1, [r7, #8]
    adds r2, r1, #1
    str r2, [r7, #8]
    ldr r2, [r7, #28]
    str r2, [sp, #64]
2:  @ A row.
    str r0, [sp, #68]
    str r1, [sp, #72]
    ldr r2, [r7, #24]
    adds r2, r2, r0
    mov r11, r2
3:  @ An output.
    ldrb r4, [r0]
    ldr r2, [sp]
    muls r4, r2, r4
    embernet_thumb1_tap 1, 1
    embernet_thumb1_tap 2, 2
    add r0, r0, r8
    embernet_thumb1_tap 0, 3
    embernet_thumb1_tap 1, 4
    embernet_thumb1_tap 2, 5
    add r0, r0, r8
    embernet_thumb1_tap 0, 6
    embernet_thumb1_tap 1, 7
    embernet_thumb1_tap 2, 8
    adds r4, r4, r4
    ldr r2, [sp, #36]
    adds r4, r4, r2
    @ Times the multiplier, by halves.
    uxth r2, r4
    asrs r4, r4, #16
    ldr r3, [sp, #40]
    movs r5, r2
    muls r5, r3, r5
    lsrs r5, r5, #16
    muls r3, r4, r3
    adds r5, r5, r3
    ldr r3, [sp, #44]
    muls r4, r3, r4
    muls r2, r3, r2
    asrs r3, r5, #16
    adds r4, r4, r3
    uxth r5, r5
    adds r2, r2, r5
    lsrs r2, r2, #16
    adds r4, r4, r2
    adds r4, r4, #1
    bpl 8f
    subs r4, r4, #2
8:  ldr r2, [sp, #48]
    adds r4, r4, r2
    ldr r2, [sp, #52]
    asrs r4, r4, r2
    sxtb r2, r4
    cmp r2, r4
    beq 4f
    asrs r4, r4, #31
    movs r2, #127
    eors r4, r4, r2
4:  strb r4, [r1]
    add r0, r0, r9
    add r1, r1, r10
    cmp r0, r11
    bne 3b
    ldr r0, [sp, #68]
    ldr r1, [sp, #72]
    ldr r2, [r7, #32]
    ldr r3, [r7, #36]
    adds r0, r0, r2
    adds r1, r1, r3
    ldr r2, [sp, #64]
    subs r2, r2, #1
    str r2, [sp, #64]
    bne 2b
    ldr r2, [sp, #60]
    subs r2, r2, #1
    str r2, [sp, #60]
    beq 6f
    b 1b
6:  add sp, sp, #76
    pop {r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4-r7, pc}
    .size embernet_thumb1_band, . - embernet_thumb1_band
