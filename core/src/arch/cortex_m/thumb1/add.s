@ Sums of int8 on a core with 16-bit instructions only (Cortex-M0): see arch/sums.rs for the numbers.
@
@ In: r0: a, r1: b, r2: y, r3: how many, at least one; on the stack where the eight numbers lie. They go, in order, to lr,
@ r8, r9 and r10 (upper and lower half), r11, r12, and from sp on as five words.
    .syntax unified
    .thumb
    .section .text.embernet_thumb1_add, "ax", %progbits
    .global embernet_thumb1_add
    .type embernet_thumb1_add, %function
    .thumb_func

    @ A scaled number is rounded halves up, and one below zero halves down.
    .macro embernet_thumb1_add_away
    adds r4, r4, #1
    bpl 9f
    subs r4, r4, #2
9:
    .endm

embernet_thumb1_add:
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4-r7}
    sub sp, sp, #16
    ldr r7, [sp, #52]
    ldm r7!, {r4, r5, r6}
    mov lr, r4
    mov r8, r5
    lsrs r4, r6, #16
    mov r9, r4
    uxth r6, r6
    mov r10, r6
    ldm r7!, {r4, r5, r6}
    mov r11, r4
    mov r12, r5
    uxth r4, r6
    str r4, [sp]
    lsrs r6, r6, #16
    str r6, [sp, #4]
    ldm r7!, {r4, r5}
    str r4, [sp, #8]
    str r5, [sp, #12]
    adds r0, r0, r3
    adds r1, r1, r3
    adds r2, r2, r3
    rsbs r3, r3, #0
1:  @ The second input has nine bits: the upper word of its product, shifted left by 21, in two short ones.
    ldrsb r4, [r1, r3]
    add r4, r4, r8
    mov r5, r9
    muls r5, r4, r5
    lsls r5, r5, #5
    mov r6, r10
    muls r4, r6, r4
    asrs r4, r4, #11
    adds r4, r4, r5
    embernet_thumb1_add_away
    add r4, r4, r11
    mov r5, r12
    asrs r4, r4, r5
    lsls r4, r4, #1
    ldrsb r5, [r0, r3]
    lsls r5, r5, #20
    adds r4, r4, r5
    add r4, r4, lr
    @ Twice the sum times the mantissa, by halves.
    uxth r5, r4
    asrs r4, r4, #16
    ldr r6, [sp]
    movs r7, r5
    muls r7, r6, r7
    lsrs r7, r7, #16
    muls r6, r4, r6
    adds r7, r7, r6
    ldr r6, [sp, #4]
    muls r4, r6, r4
    muls r5, r6, r5
    asrs r6, r7, #16
    adds r4, r4, r6
    uxth r7, r7
    adds r5, r5, r7
    lsrs r5, r5, #16
    adds r4, r4, r5
    embernet_thumb1_add_away
    ldr r5, [sp, #8]
    adds r4, r4, r5
    ldr r5, [sp, #12]
    asrs r4, r4, r5
    sxtb r5, r4
    cmp r4, r5
    beq 2f
    asrs r4, r4, #31
    movs r5, #127
    eors r4, r4, r5
2:  strb r4, [r2, r3]
    adds r3, r3, #1
    bne 1b
    add sp, sp, #16
    pop {r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4-r7, pc}
    .size embernet_thumb1_add, . - embernet_thumb1_add
