@ Block floating point on a core with 16-bit instructions only (Cortex-M0).
@ See Isa::dot_fixed, Isa::axpy_fixed and Isa::descend_fixed for what the loops compute.
    .syntax unified
    .thumb

@ r0 = sum so far, r1 = bits to the right, r2 = a, r3 = b, both at their ends; on the stack minus the bytes of each.
    .section .text.embernet_thumb1_dot_fixed, "ax", %progbits
    .global embernet_thumb1_dot_fixed
    .type embernet_thumb1_dot_fixed, %function
    .thumb_func
embernet_thumb1_dot_fixed:
    push {r4-r6, lr}
    ldr r4, [sp, #16]
1:  ldrsh r5, [r2, r4]
    ldrsh r6, [r3, r4]
    muls r5, r6
    asrs r5, r1
    adds r0, r0, r5
    adds r4, r4, #2
    bne 1b
    pop {r4-r6, pc}
    .size embernet_thumb1_dot_fixed, . - embernet_thumb1_dot_fixed

@ r0 = a, r1 = bits to the right, r2 = x at its end, r3 = y; on the stack minus the bytes of x.
    .section .text.embernet_thumb1_axpy_fixed, "ax", %progbits
    .global embernet_thumb1_axpy_fixed
    .type embernet_thumb1_axpy_fixed, %function
    .thumb_func
embernet_thumb1_axpy_fixed:
    push {r4-r6, lr}
    ldr r4, [sp, #16]
1:  ldrsh r5, [r2, r4]
    muls r5, r0
    asrs r5, r1
    ldr r6, [r3]
    adds r5, r5, r6
    stm r3!, {r5}
    adds r4, r4, #2
    bne 1b
    pop {r4-r6, pc}
    .size embernet_thumb1_axpy_fixed, . - embernet_thumb1_axpy_fixed

@ r0 = rate, r1 = bits to the right, r2 = random bits, r3 = gradient; on the stack its end and the weights.
@ Gives the bits of the new weights.
    .section .text.embernet_thumb1_descend_fixed, "ax", %progbits
    .global embernet_thumb1_descend_fixed
    .type embernet_thumb1_descend_fixed, %function
    .thumb_func
embernet_thumb1_descend_fixed:
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    push {r4, r5}
    ldr r4, [sp, #28]
    mov lr, r4
    ldr r4, [sp, #32]
    ldr r5, =747796405
    mov r8, r5
    ldr r5, =2891336453
    mov r9, r5
    movs r7, #32
    subs r7, r7, r1
    movs r5, #0
    mov r12, r5
    @ r4 = weights, r5 and r6 = at work, r7 = 32 less those bits, r8 and r9 = generator, r12 = bits of weights.
1:  mov r5, r8
    muls r2, r5
    add r2, r9
    ldm r3!, {r5}
    uxth r6, r5
    asrs r5, r5, #16
    muls r5, r0
    muls r6, r0
    lsrs r6, r6, #16
    adds r5, r5, r6
    mov r6, r2
    lsrs r6, r7
    adds r5, r5, r6
    asrs r5, r1
    movs r6, #0
    ldrsh r6, [r4, r6]
    subs r5, r6, r5
    sxth r6, r5
    cmp r5, r6
    bne 3f
2:  strh r6, [r4]
    adds r4, r4, #2
    asrs r5, r6, #31
    eors r5, r6
    mov r6, r12
    orrs r6, r5
    mov r12, r6
    cmp r3, lr
    bne 1b
    mov r0, r12
    pop {r4, r5}
    mov r8, r4
    mov r9, r5
    pop {r4-r7, pc}
3:  @ Beyond 16 bits: 32767 with its sign.
    asrs r5, r5, #31
    ldr r6, =0x7fff
    eors r6, r5
    subs r6, r6, r5
    b 2b
    .ltorg
    .size embernet_thumb1_descend_fixed, . - embernet_thumb1_descend_fixed
