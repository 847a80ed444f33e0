@ The tile of a convolution on a core with 16-bit instructions only (Cortex-M0): see layout/words/tile.rs for what the
@ numbers mean.
@
@ In: r0 = arguments (its Arguments). One filter, four pixels at a time: the two sums of a block in r4 and r5,
@ their running totals in r8 and r9, those of the upper halves in r10 and r11.
    .syntax unified
    .thumb
    .section .text.embernet_thumb1_filters, "ax", %progbits
    .global embernet_thumb1_filters
    .type embernet_thumb1_filters, %function
    .thumb_func

    @ The lower halves' sum, to r0.
    .macro embernet_thumb1_total total, upper
    mov r0, \total
    mov r1, \upper
    lsls r1, r1, #16
    subs r0, r0, r1
    .endm

    @ The sum r0 to int8, stored; the next pixel's output is the next.
    .macro embernet_thumb1_output
    adds r0, r0, r0
    add r0, r0, r12
    uxth r1, r0
    asrs r0, r0, #16
    movs r2, r1
    muls r2, r4, r2
    lsrs r2, r2, #16
    movs r3, r0
    muls r3, r4, r3
    adds r2, r2, r3
    muls r0, r5, r0
    asrs r3, r2, #16
    adds r0, r0, r3
    uxth r2, r2
    muls r1, r5, r1
    adds r1, r1, r2
    lsrs r1, r1, #16
    adds r0, r0, r1
    adds r0, r0, #1
    bpl 8f
    subs r0, r0, #2
8:  add r0, r0, lr
    asrs r0, r0, r6
    sxtb r1, r0
    cmp r0, r1
    beq 9f
    asrs r0, r0, #31
    movs r1, #127
    eors r0, r0, r1
9:  strb r0, [r7]
    ldr r3, [sp, #4]
    adds r7, r7, r3
    .endm

embernet_thumb1_filters:
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    ldr r3, [r0, #24]
    push {r0, r3, r4-r7}
    mov r5, r0
1:  @ A filter.
    movs r1, #1
    lsls r1, r1, #15
    mov r12, r1
    ldr r4, [r5, #4]
    mov lr, r4
    ldr r7, [r5]
    ldr r6, [r5, #8]
    adds r6, r6, #16
    movs r2, #0
    mov r8, r2
    mov r9, r2
    mov r10, r2
    mov r11, r2
2:  @ A block: how many of 16 weights it lacks; 14 bytes of code for each.
    ldrb r3, [r6]
    adds r6, r6, #1
    lsls r2, r3, #28
    lsrs r3, r2, #24
    lsrs r2, r2, #27
    subs r3, r3, r2
    movs r2, #0
    movs r4, #0
    movs r5, #0
    add pc, r3
    nop
    .rept 16
    ldrsb r3, [r6, r2]
    adds r6, r6, #1
    ldm r7!, {r0, r1}
    muls r0, r3, r0
    adds r4, r4, r0
    muls r1, r3, r1
    adds r5, r5, r1
    .endr
    add r8, r8, r4
    add r4, r4, r12
    asrs r4, r4, #16
    add r10, r10, r4
    add r9, r9, r5
    add r5, r5, r12
    asrs r5, r5, #16
    add r11, r11, r5
    cmp r7, lr
    bhs 3f
    b 2b
3:  @ Outputs. r12: bias, r4 and r5: the multiplier's halves, lr: rounding, r6: power, r7: where they go.
    ldr r7, [sp]
    ldr r6, [r7, #8]
    ldm r6!, {r0, r1, r2, r3}
    mov r12, r0
    uxth r4, r1
    lsrs r5, r1, #16
    mov lr, r2
    mov r6, r3
    ldr r7, [r7, #20]
    embernet_thumb1_total r8, r10
    embernet_thumb1_output
    mov r0, r10
    embernet_thumb1_output
    embernet_thumb1_total r9, r11
    embernet_thumb1_output
    mov r0, r11
    embernet_thumb1_output
    @ The next filter.
    ldr r5, [sp]
    ldr r0, [r5, #20]
    adds r0, r0, #1
    str r0, [r5, #20]
    ldr r0, [r5, #8]
    ldr r1, [r5, #12]
    adds r0, r0, r1
    str r0, [r5, #8]
    ldr r0, [r5, #16]
    subs r0, r0, #1
    str r0, [r5, #16]
    beq 4f
    b 1b
4:  pop {r0, r3, r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4-r7, pc}
    .size embernet_thumb1_filters, . - embernet_thumb1_filters
