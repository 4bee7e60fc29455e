#include "textflag.h"

// Bytes that are not plain are those below 0x20 and from 0x80 on, and two more. With bit 1 turned over, the quotation
// mark is 0x20 and all that is plain is 0x21 or more, as signed bytes: one comparison finds all but the backslash.
DATA turned<>+0(SB)/4, $0x02020202
GLOBL turned<>(SB), RODATA|NOPTR, $4
DATA least<>+0(SB)/4, $0x21212121
GLOBL least<>(SB), RODATA|NOPTR, $4
DATA backslash<>+0(SB)/4, $0x5c5c5c5c
GLOBL backslash<>(SB), RODATA|NOPTR, $4

// func plainBlocks(s []byte) int
TEXT ·plainBlocks(SB), NOSPLIT, $0-32
	MOVQ s_base+0(FP), SI
	MOVQ s_len+8(FP), CX
	VPBROADCASTD turned<>(SB), Y0
	VPBROADCASTD least<>(SB), Y1
	VPBROADCASTD backslash<>(SB), Y2
	LEAQ -32(CX), DX // where the last block begins, which may lie over the one before
	XORQ AX, AX

block:
	VMOVDQU  (SI)(AX*1), Y3
	VPXOR    Y3, Y0, Y4
	VPCMPGTB Y4, Y1, Y4
	VPCMPEQB Y3, Y2, Y3
	VPOR     Y3, Y4, Y4
	VPMOVMSKB Y4, BX
	TESTL    BX, BX
	JNE      found
	ADDQ     $32, AX
	CMPQ     AX, DX
	JLE      block
	CMPQ     AX, CX
	JEQ      ended
	MOVQ     DX, AX
	JMP      block

found:
	BSFL BX, BX
	ADDQ BX, AX

ended:
	VZEROUPPER
	MOVQ AX, ret+24(FP)
	RET
