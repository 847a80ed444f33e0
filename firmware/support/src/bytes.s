@ Copying and filling memory, for Armv7-M and later: they load and store words at any address.
@ The compiler's own functions do the same in 2 KB.

    .syntax unified
    .thumb

@ r0 = memcpy(to r0, from r1, bytes r2)
    .section .text.memcpy, "ax", %progbits
    .global memcpy, __aeabi_memcpy, __aeabi_memcpy4, __aeabi_memcpy8
    .type memcpy, %function
    .type __aeabi_memcpy, %function
    .type __aeabi_memcpy4, %function
    .type __aeabi_memcpy8, %function
    .thumb_func
memcpy:
    .thumb_func
__aeabi_memcpy:
    .thumb_func
__aeabi_memcpy4:
    .thumb_func
__aeabi_memcpy8:
    push {r0, r4, lr}
    subs r2, #16
    blo 2f
1:  ldr r3, [r1], #4
    ldr r4, [r1], #4
    ldr r12, [r1], #4
    ldr lr, [r1], #4
    str r3, [r0], #4
    str r4, [r0], #4
    str r12, [r0], #4
    str lr, [r0], #4
    subs r2, #16
    bhs 1b
2:  adds r2, #12
    bmi 4f
3:  ldr r3, [r1], #4
    str r3, [r0], #4
    subs r2, #4
    bpl 3b
4:  adds r2, #4
    beq 6f
5:  ldrb r3, [r1], #1
    strb r3, [r0], #1
    subs r2, #1
    bne 5b
6:  pop {r0, r4, pc}

@ r0 = memset(to r0, byte r1, bytes r2); __aeabi_memset has bytes and byte exchanged, __aeabi_memclr fills with 0
    .section .text.memset, "ax", %progbits
    .global memset, __aeabi_memset, __aeabi_memset4, __aeabi_memset8
    .global __aeabi_memclr, __aeabi_memclr4, __aeabi_memclr8
    .type memset, %function
    .type __aeabi_memset, %function
    .type __aeabi_memset4, %function
    .type __aeabi_memset8, %function
    .type __aeabi_memclr, %function
    .type __aeabi_memclr4, %function
    .type __aeabi_memclr8, %function
    .thumb_func
__aeabi_memclr:
    .thumb_func
__aeabi_memclr4:
    .thumb_func
__aeabi_memclr8:
    movs r2, #0
    .thumb_func
__aeabi_memset:
    .thumb_func
__aeabi_memset4:
    .thumb_func
__aeabi_memset8:
    mov r3, r1
    mov r1, r2
    mov r2, r3
    .thumb_func
memset:
    mov r12, r0
    uxtb r1, r1
    orr r1, r1, r1, lsl #8
    orr r1, r1, r1, lsl #16
    subs r2, #16
    blo 2f
1:  str r1, [r0], #4
    str r1, [r0], #4
    str r1, [r0], #4
    str r1, [r0], #4
    subs r2, #16
    bhs 1b
2:  adds r2, #12
    bmi 4f
3:  str r1, [r0], #4
    subs r2, #4
    bpl 3b
4:  adds r2, #4
    beq 6f
5:  strb r1, [r0], #1
    subs r2, #1
    bne 5b
6:  mov r0, r12
    bx lr
