#include "textflag.h"

// func combine4AVX(o, a, b, c, d *float64, w *[4]float64, n int)
// n is a multiple of 4.
TEXT ·combine4AVX(SB), NOSPLIT, $0-56
	MOVQ o+0(FP), DI
	MOVQ a+8(FP), SI
	MOVQ b+16(FP), DX
	MOVQ c+24(FP), CX
	MOVQ d+32(FP), R8
	MOVQ w+40(FP), R9
	MOVQ n+48(FP), R10
	VBROADCASTSD 0(R9), Y0
	VBROADCASTSD 8(R9), Y1
	VBROADCASTSD 16(R9), Y2
	VBROADCASTSD 24(R9), Y3
	XORQ AX, AX

combine:
	CMPQ AX, R10
	JGE  combined
	VMULPD  (SI)(AX*8), Y0, Y4
	VMULPD  (DX)(AX*8), Y1, Y5
	VMULPD  (CX)(AX*8), Y2, Y6
	VMULPD  (R8)(AX*8), Y3, Y7
	VADDPD  Y5, Y4, Y4
	VADDPD  Y7, Y6, Y6
	VADDPD  Y6, Y4, Y4
	VADDPD  (DI)(AX*8), Y4, Y4
	VMOVUPD Y4, (DI)(AX*8)
	ADDQ $4, AX
	JMP  combine

combined:
	VZEROUPPER
	RET

// func products4AVX(d, a0, a1, a2, a3 *float64, lanes *[16]float64, n int)
// n is a multiple of 4.
TEXT ·products4AVX(SB), NOSPLIT, $0-56
	MOVQ d+0(FP), DI
	MOVQ a0+8(FP), SI
	MOVQ a1+16(FP), DX
	MOVQ a2+24(FP), CX
	MOVQ a3+32(FP), R8
	MOVQ lanes+40(FP), R9
	MOVQ n+48(FP), R10
	VXORPD Y0, Y0, Y0
	VXORPD Y1, Y1, Y1
	VXORPD Y2, Y2, Y2
	VXORPD Y3, Y3, Y3
	XORQ AX, AX

multiply:
	CMPQ AX, R10
	JGE  multiplied
	VMOVUPD (DI)(AX*8), Y8
	VMULPD  (SI)(AX*8), Y8, Y4
	VMULPD  (DX)(AX*8), Y8, Y5
	VMULPD  (CX)(AX*8), Y8, Y6
	VMULPD  (R8)(AX*8), Y8, Y7
	VADDPD  Y4, Y0, Y0
	VADDPD  Y5, Y1, Y1
	VADDPD  Y6, Y2, Y2
	VADDPD  Y7, Y3, Y3
	ADDQ $4, AX
	JMP  multiply

multiplied:
	VMOVUPD Y0, 0(R9)
	VMOVUPD Y1, 32(R9)
	VMOVUPD Y2, 64(R9)
	VMOVUPD Y3, 96(R9)
	VZEROUPPER
	RET

// func axpyAVX(y, x *float64, w float64, n int)
// n is a multiple of 8.
TEXT ·axpyAVX(SB), NOSPLIT, $0-32
	MOVQ y+0(FP), DI
	MOVQ x+8(FP), SI
	VBROADCASTSD w+16(FP), Y0
	MOVQ n+24(FP), R10
	XORQ AX, AX

add:
	CMPQ AX, R10
	JGE  added
	VMULPD  (SI)(AX*8), Y0, Y1
	VMULPD  32(SI)(AX*8), Y0, Y2
	VADDPD  (DI)(AX*8), Y1, Y1
	VADDPD  32(DI)(AX*8), Y2, Y2
	VMOVUPD Y1, (DI)(AX*8)
	VMOVUPD Y2, 32(DI)(AX*8)
	ADDQ $8, AX
	JMP  add

added:
	VZEROUPPER
	RET
