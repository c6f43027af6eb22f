/* A Cortex-M4 from its reset: copy the data, clear what is zero, run a network on the images in images.h, print, stop.
   Words go to the host by semihosting (bkpt 0xAB); the time is that of SysTick, 25 MHz, where qemu counts 1 ns an instruction. */
#include <stdint.h>
#include "network.h"
#include "images.h"

extern uint8_t _data[], _data_end[], _data_source[], _bss[], _bss_end[], _stack[];
#define SYST ((volatile uint32_t *)0xE000E010)

static void call(int operation, const void *argument) {
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

static void print(int32_t value) {
    char text[13], *at = text + 12;
    uint32_t rest = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
    *at = 0;
    *--at = '\n';
    do *--at = (char)('0' + rest % 10); while (rest /= 10);
    if (value < 0) *--at = '-';
    call(0x04, at);
}

static void run_all(void) {
    uint32_t ticks = 0;
    uint8_t *low = _bss_end;
    for (uint8_t *at = low; at < (uint8_t *)__builtin_frame_address(0) - 256; at++) *at = 0xA5;
    SYST[1] = 0xFFFFFF;
    SYST[0] = 5;
    for (int32_t image = 0; image < IMAGES; image++) {
        int8_t *input = network_input();
        for (int32_t i = 0; i < NETWORK_INPUTS; i++) input[i] = images[image * NETWORK_INPUTS + i];
        SYST[2] = 0;
        const int32_t *result = network_run();
        ticks = (0x1000000 - SYST[2]) & 0xFFFFFF;
        for (int32_t i = 0; i < NETWORK_OUTPUTS; i++) print(result[i]);
    }
    while (*low == 0xA5) low++;
    print((int32_t)ticks * 40);      /* instructions of the last image */
    print((int32_t)(_stack - low)); /* bytes of stack that were ever used */
}

__attribute__((noreturn)) void reset(void) {
    for (uint8_t *to = _data, *from = _data_source; to < _data_end;) *to++ = *from++;
    for (uint8_t *to = _bss; to < _bss_end;) *to++ = 0;
    run_all();
    call(0x18, (void *)0x20026);
    for (;;) {}
}

__attribute__((section(".vectors"), used)) static const void *const vectors[] = {_stack, (void *)reset};
