@ A dense layer on a core with 16-bit instructions only (Cortex-M0): see layout/words/quad.rs for what the numbers mean.
@
@ In: r0 = arguments (its Arguments). Four filters at a time: two sums of a block in r4 and r5, that of the
@ inputs in lr; totals in r8 and r9, those of the upper halves in r10 and r11.
    .syntax unified
    .thumb
    .section .text.embernet_thumb1_dense, "ax", %progbits
    .global embernet_thumb1_dense
    .type embernet_thumb1_dense, %function
    .thumb_func
embernet_thumb1_dense:
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r0, r4-r7}
    ldr r5, =0x00ff00ff
    mov r12, r5
1:  @ Four filters.
    ldr r7, [r0]
    ldr r6, [r0, #8]
    adds r6, r6, #64
    movs r2, #0
    mov r8, r2
    mov r9, r2
    mov r10, r2
    mov r11, r2
2:  @ A block, unless it is longer than what is left: how many of 16 inputs it lacks; 24 bytes of code for each.
    ldm r6!, {r3}
    lsls r3, r3, #28
    lsrs r3, r3, #28
    ldr r0, [sp]
    ldr r0, [r0, #4]
    subs r0, r0, r7
    adds r0, r0, r3
    cmp r0, #16
    bhs 3f
    b 4f
3:  lsls r0, r3, #4
    lsls r1, r3, #3
    adds r0, r0, r1
    movs r3, #0
    mov lr, r3
    movs r4, #0
    movs r5, #0
    add pc, r0
    nop
    .rept 16
    ldm r6!, {r1}
    ldrsb r0, [r7, r3]
    adds r7, r7, #1
    add lr, lr, r0
    mov r2, r12
    ands r2, r2, r1
    subs r1, r1, r2
    lsrs r1, r1, #8
    muls r2, r0, r2
    adds r4, r4, r2
    muls r1, r0, r1
    adds r5, r5, r1
    .endr
    ldr r2, =0x00800080
    mov r3, lr
    muls r2, r3, r2
    subs r4, r4, r2
    subs r5, r5, r2
    add r8, r8, r4
    add r9, r9, r5
    movs r2, #1
    lsls r2, r2, #15
    adds r4, r4, r2
    asrs r4, r4, #16
    add r10, r10, r4
    adds r5, r5, r2
    asrs r5, r5, #16
    add r11, r11, r5
    ldr r0, [sp]
    ldr r0, [r0, #4]
    cmp r7, r0
    bhs 4f
    b 2b
    .ltorg
4:  ldr r7, [sp]
    mov r0, r8
    mov r1, r10
    lsls r2, r1, #16
    subs r0, r0, r2
    movs r1, #0
    bl 5f
    mov r0, r9
    mov r1, r11
    lsls r2, r1, #16
    subs r0, r0, r2
    movs r1, #16
    bl 5f
    mov r0, r10
    movs r1, #32
    bl 5f
    mov r0, r11
    movs r1, #48
    bl 5f
    mov r0, r7
    ldr r1, [r0, #8]
    ldr r2, [r0, #12]
    adds r1, r1, r2
    str r1, [r0, #8]
    ldr r1, [r0, #16]
    subs r1, r1, #1
    str r1, [r0, #16]
    beq 7f
    b 1b
7:  pop {r0, r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4-r7, pc}

5:  @ The sum r0 to int8, stored; its numbers lie r1 bytes behind the group's begin.
    ldr r3, [r7, #8]
    adds r3, r3, r1
    ldm r3!, {r4, r5}
    adds r0, r0, r0
    adds r0, r0, r4
    uxth r4, r5
    lsrs r5, r5, #16
    uxth r1, r0
    asrs r0, r0, #16
    movs r2, r1
    muls r2, r4, r2
    lsrs r2, r2, #16
    muls r4, r0, r4
    adds r2, r2, r4
    muls r0, r5, r0
    asrs r4, r2, #16
    adds r0, r0, r4
    uxth r2, r2
    muls r1, r5, r1
    adds r1, r1, r2
    lsrs r1, r1, #16
    adds r0, r0, r1
    adds r0, r0, #1
    bpl 8f
    subs r0, r0, #2
8:  ldm r3!, {r1, r2}
    adds r0, r0, r1
    asrs r0, r0, r2
    sxtb r1, r0
    cmp r0, r1
    beq 6f
    asrs r0, r0, #31
    movs r1, #127
    eors r0, r0, r1
6:  ldr r2, [r7, #20]
    strb r0, [r2]
    adds r2, r2, #1
    str r2, [r7, #20]
    bx lr
    .size embernet_thumb1_dense, . - embernet_thumb1_dense
