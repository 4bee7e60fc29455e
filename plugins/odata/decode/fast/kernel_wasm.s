// Made by plugins/assembler from kernel.go. DO NOT EDIT.

//go:build !stock

#include "textflag.h"

TEXT ·Read(SB), NOSPLIT, $0-16
	Get SP
	I64ExtendI32U
	Set R0
	I64Load s+0(FP)
	I32WrapI64
	Set SP
	Get SP
	I64Load $0
	Set R1
	Get SP
	I64Load $8
	Set R2
	Get SP
	I64Load $16
	Set R3
	Get SP
	I64Load $24
	Set R4
	Get SP
	I64Load $32
	I32WrapI64
	Set PC_B
	Block
		Loop
			Get PC_B
			I64Load $632
			Drop
			Get SP
			I64Load $264
			Drop
			Get SP
			I64Load $56
			Set R6
			Block
				Get R1
				Get R3
				I64Add
				I32WrapI64
				I64Load $0
				Get PC_B
				I64Load $432
				I64Xor
				Get PC_B
				I64Load $440
				I64And
				Get R6
				I64And
				Get R1
				Get R3
				I64Add
				I32WrapI64
				I64Load $8
				Get PC_B
				I64Load $448
				I64Xor
				Get PC_B
				I64Load $456
				I64And
				I64Or
				Get R1
				Get R3
				I64Add
				I32WrapI64
				I64Load $16
				Get PC_B
				I64Load $464
				I64Xor
				Get PC_B
				I64Load $472
				I64And
				I64Or
				Get PC_B
				I64Load $416
				I64Or
				Tee R7
				I64Eqz
				Get PC_B
				I64Load $424
				I64Const $24
				I64GtS
				I32And
				If
					Get R1
					Get R3
					I64Add
					I32WrapI64
					I64Load $24
					Get PC_B
					I64Load $480
					I64Xor
					Get PC_B
					I64Load $488
					I64And
					Get R1
					Get R3
					I64Add
					I32WrapI64
					I64Load $32
					Get PC_B
					I64Load $496
					I64Xor
					Get PC_B
					I64Load $504
					I64And
					I64Or
					Get R1
					Get R3
					I64Add
					I32WrapI64
					I64Load $40
					Get PC_B
					I64Load $512
					I64Xor
					Get PC_B
					I64Load $520
					I64And
					I64Or
					Get R1
					Get R3
					I64Add
					I32WrapI64
					I64Load $48
					Get PC_B
					I64Load $528
					I64Xor
					Get PC_B
					I64Load $536
					I64And
					I64Or
					Get R1
					Get R3
					I64Add
					I32WrapI64
					I64Load $56
					Get PC_B
					I64Load $544
					I64Xor
					Get PC_B
					I64Load $552
					I64And
					I64Or
					Get R1
					Get R3
					I64Add
					I32WrapI64
					I64Load $64
					Get PC_B
					I64Load $560
					I64Xor
					Get PC_B
					I64Load $568
					I64And
					I64Or
					Get R1
					Get R3
					I64Add
					I32WrapI64
					I64Load $72
					Get PC_B
					I64Load $576
					I64Xor
					Get PC_B
					I64Load $584
					I64And
					I64Or
					Set R7
				End
				Get R7
				Set R5
				Br $0
			End
			Get R5
			I64Const $0
			I64Ne
			If
				Get SP
				Get R3
				I64Store $16
				Get SP
				Get R4
				I64Store $24
				Block
					Get SP
					I64Load $72
					I64Eqz
					If
						I64Const $3
						Set R6
						Block
							Loop
								Get PC_B
								I64Load $632
								Drop
								Get SP
								I64Load $56
								Set R8
								Block
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $0
									Get PC_B
									I64Load $40
									I64Xor
									Get PC_B
									I64Load $48
									I64And
									Get R8
									I64And
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $8
									Get PC_B
									I64Load $56
									I64Xor
									Get PC_B
									I64Load $64
									I64And
									I64Or
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $16
									Get PC_B
									I64Load $72
									I64Xor
									Get PC_B
									I64Load $80
									I64And
									I64Or
									Get PC_B
									I64Load $24
									I64Or
									Tee R9
									I64Eqz
									Get PC_B
									I64Load $32
									I64Const $24
									I64GtS
									I32And
									If
										Get R1
										Get R3
										I64Add
										I32WrapI64
										I64Load $24
										Get PC_B
										I64Load $88
										I64Xor
										Get PC_B
										I64Load $96
										I64And
										Get R1
										Get R3
										I64Add
										I32WrapI64
										I64Load $32
										Get PC_B
										I64Load $104
										I64Xor
										Get PC_B
										I64Load $112
										I64And
										I64Or
										Get R1
										Get R3
										I64Add
										I32WrapI64
										I64Load $40
										Get PC_B
										I64Load $120
										I64Xor
										Get PC_B
										I64Load $128
										I64And
										I64Or
										Get R1
										Get R3
										I64Add
										I32WrapI64
										I64Load $48
										Get PC_B
										I64Load $136
										I64Xor
										Get PC_B
										I64Load $144
										I64And
										I64Or
										Get R1
										Get R3
										I64Add
										I32WrapI64
										I64Load $56
										Get PC_B
										I64Load $152
										I64Xor
										Get PC_B
										I64Load $160
										I64And
										I64Or
										Get R1
										Get R3
										I64Add
										I32WrapI64
										I64Load $64
										Get PC_B
										I64Load $168
										I64Xor
										Get PC_B
										I64Load $176
										I64And
										I64Or
										Get R1
										Get R3
										I64Add
										I32WrapI64
										I64Load $72
										Get PC_B
										I64Load $184
										I64Xor
										Get PC_B
										I64Load $192
										I64And
										I64Or
										Set R9
									End
									Get R9
									Set R7
									Br $0
								End
								Get R7
								I64Eqz
								If
									I64Const $1
									Set R5
									Br $4
								End
								Get R6
								I64Eqz
								If
									Br $2
								End
								Get PC_B
								I64Load $592
								I32WrapI64
								Set PC_B
								Get R6
								I64Const $1
								I64Sub
								Set R6
								Get PC_B
								I64Load $632
								Drop
								Get SP
								I64Load $56
								Set R8
								Block
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $0
									Get PC_B
									I64Load $432
									I64Xor
									Get PC_B
									I64Load $440
									I64And
									Get R8
									I64And
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $8
									Get PC_B
									I64Load $448
									I64Xor
									Get PC_B
									I64Load $456
									I64And
									I64Or
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $16
									Get PC_B
									I64Load $464
									I64Xor
									Get PC_B
									I64Load $472
									I64And
									I64Or
									Get PC_B
									I64Load $416
									I64Or
									Tee R9
									I64Eqz
									Get PC_B
									I64Load $424
									I64Const $24
									I64GtS
									I32And
									If
										Get R1
										Get R3
										I64Add
										I32WrapI64
										I64Load $24
										Get PC_B
										I64Load $480
										I64Xor
										Get PC_B
										I64Load $488
										I64And
										Get R1
										Get R3
										I64Add
										I32WrapI64
										I64Load $32
										Get PC_B
										I64Load $496
										I64Xor
										Get PC_B
										I64Load $504
										I64And
										I64Or
										Get R1
										Get R3
										I64Add
										I32WrapI64
										I64Load $40
										Get PC_B
										I64Load $512
										I64Xor
										Get PC_B
										I64Load $520
										I64And
										I64Or
										Get R1
										Get R3
										I64Add
										I32WrapI64
										I64Load $48
										Get PC_B
										I64Load $528
										I64Xor
										Get PC_B
										I64Load $536
										I64And
										I64Or
										Get R1
										Get R3
										I64Add
										I32WrapI64
										I64Load $56
										Get PC_B
										I64Load $544
										I64Xor
										Get PC_B
										I64Load $552
										I64And
										I64Or
										Get R1
										Get R3
										I64Add
										I32WrapI64
										I64Load $64
										Get PC_B
										I64Load $560
										I64Xor
										Get PC_B
										I64Load $568
										I64And
										I64Or
										Get R1
										Get R3
										I64Add
										I32WrapI64
										I64Load $72
										Get PC_B
										I64Load $576
										I64Xor
										Get PC_B
										I64Load $584
										I64And
										I64Or
										Set R9
									End
									Get R9
									Set R7
									Br $0
								End
								Get R7
								I64Eqz
								If
									I64Const $0
									Set R5
									Br $4
								End
								Br $0
							End
						End
					End
					Get R3
					Set R8
					Block
						I64Const $0
						Set R9
						Get SP
						I64Load $48
						I64Eqz
						If
							Get R1
							Get R8
							I64Add
							I32WrapI64
							I64Load $0
							I64Const $8748
							I64Xor
							Get SP
							I64Load $56
							I64And
							I64Const $65535
							I64And
							I64Const $0
							I64Ne
							If
								I64Const $0
								I64Const $0
								Set R7
								Set R6
								Br $2
							End
							Get R8
							I64Const $2
							I64Add
							Set R8
							Block
								Loop
									Get R1
									Get R8
									Get R9
									I64Add
									I64Add
									I32WrapI64
									I64Load $0
									Tee R10
									I64Const $144680345676153346
									I64Xor
									I64Const $2387225703656530209
									I64Sub
									Get R10
									I64Const $6655295901103053916
									I64Xor
									I64Const $72340172838076673
									I64Sub
									I64Or
									Get R10
									I64Const $-1
									I64Xor
									I64And
									I64Const $-9187201950435737472
									I64And
									Tee R10
									I64Const $0
									I64Ne
									If
										Get R8
										Get R9
										Get R10
										I64Ctz
										I64Const $3
										I64ShrS
										I64Add
										Set R7
										Set R6
										Br $4
									End
									Get R9
									I64Const $8
									I64Add
									Set R9
									Br $0
								End
							End
						End
						Block
							Loop
								Get R1
								Get R8
								I64Add
								I32WrapI64
								I64Load8U $0
								I64Const $1
								I64Sub
								I64Const $32
								I64LtU
								I32Eqz
								BrIf $1
								Get R8
								I64Const $1
								I64Add
								Set R8
								Br $0
							End
						End
						Get R1
						Get R8
						I64Add
						I32WrapI64
						I64Load8U $0
						I64Const $60
						I64Ne
						If
							I64Const $0
							I64Const $0
							Set R7
							Set R6
							Br $1
						End
						Get R8
						I64Const $1
						I64Add
						Set R8
						Block
							Loop
								Get R1
								Get R8
								Get R9
								I64Add
								I64Add
								I32WrapI64
								I64Load $0
								Tee R10
								I64Const $2314885530818453536
								I64Xor
								I64Const $72340172838076673
								I64Sub
								Get R10
								I64Const $4485090715960753726
								I64Xor
								I64Const $72340172838076673
								I64Sub
								I64Or
								Get R10
								I64Const $3399988123389603631
								I64Xor
								I64Const $72340172838076673
								I64Sub
								I64Or
								Get R10
								I64Const $72340172838076673
								I64Sub
								I64Or
								Get R10
								I64Const $-1
								I64Xor
								I64And
								I64Const $-9187201950435737472
								I64And
								Tee R10
								I64Const $0
								I64Ne
								If
									Get R8
									Get R9
									Get R10
									I64Ctz
									I64Const $3
									I64ShrS
									I64Add
									Set R7
									Set R6
									Br $3
								End
								Get R9
								I64Const $8
								I64Add
								Set R9
								Br $0
							End
						End
					End
					Block
						Get R1
						Get R6
						I64Add
						I32WrapI64
						I64Load $0
						Set R9
						Get R7
						I64Const $8
						I64LtS
						If
							Get R9
							I64Const $1
							I64Const $8
							Get R7
							I64Mul
							I64Shl
							I64Const $1
							I64Sub
							I64And
							Set R9
						End
						Get R9
						I64Const $-7046029254386353131
						I64Mul
						Set R9
						Get R7
						I64Const $8
						I64GtS
						If
							Get R9
							Get R1
							Get R6
							Get R7
							I64Add
							I64Const $8
							I64Sub
							I64Add
							I32WrapI64
							I64Load $0
							I64Const $-4417276706812531889
							I64Mul
							I64Xor
							Set R9
						End
						Get R9
						Get R7
						I64Const $1609587929392839161
						I64Mul
						I64Add
						Tee R9
						Get R9
						I64Const $32
						I64ShrU
						I64Xor
						I64Const $-7046029254386353131
						I64Mul
						I64Const $40
						I64ShrU
						Set R8
						Br $0
					End
					I64Const $0
					Set R7
					Block
						Loop
							Get SP
							I64Load $136
							Get R8
							Get SP
							I64Load $144
							I64And
							I64Const $8
							I64Mul
							I64Add
							I32WrapI64
							I64Load $0
							I32WrapI64
							Set PC_B
							Get PC_B
							I64ExtendI32U
							I64Const $0
							I64Eq
							If
								I64Const $-1
								Set R5
								Br $3
							End
							Get PC_B
							I64Load $632
							Drop
							Get SP
							I64Load $56
							Set R10
							Block
								Get R1
								Get R3
								I64Add
								I32WrapI64
								I64Load $0
								Get PC_B
								I64Load $432
								I64Xor
								Get PC_B
								I64Load $440
								I64And
								Get R10
								I64And
								Get R1
								Get R3
								I64Add
								I32WrapI64
								I64Load $8
								Get PC_B
								I64Load $448
								I64Xor
								Get PC_B
								I64Load $456
								I64And
								I64Or
								Get R1
								Get R3
								I64Add
								I32WrapI64
								I64Load $16
								Get PC_B
								I64Load $464
								I64Xor
								Get PC_B
								I64Load $472
								I64And
								I64Or
								Get PC_B
								I64Load $416
								I64Or
								Tee R11
								I64Eqz
								Get PC_B
								I64Load $424
								I64Const $24
								I64GtS
								I32And
								If
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $24
									Get PC_B
									I64Load $480
									I64Xor
									Get PC_B
									I64Load $488
									I64And
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $32
									Get PC_B
									I64Load $496
									I64Xor
									Get PC_B
									I64Load $504
									I64And
									I64Or
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $40
									Get PC_B
									I64Load $512
									I64Xor
									Get PC_B
									I64Load $520
									I64And
									I64Or
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $48
									Get PC_B
									I64Load $528
									I64Xor
									Get PC_B
									I64Load $536
									I64And
									I64Or
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $56
									Get PC_B
									I64Load $544
									I64Xor
									Get PC_B
									I64Load $552
									I64And
									I64Or
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $64
									Get PC_B
									I64Load $560
									I64Xor
									Get PC_B
									I64Load $568
									I64And
									I64Or
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $72
									Get PC_B
									I64Load $576
									I64Xor
									Get PC_B
									I64Load $584
									I64And
									I64Or
									Set R11
								End
								Get R11
								Set R9
								Br $0
							End
							Get R9
							I64Eqz
							If
								Br $2
							End
							Get SP
							I64Load $56
							Set R10
							Block
								Get R1
								Get R3
								I64Add
								I32WrapI64
								I64Load $0
								Get PC_B
								I64Load $40
								I64Xor
								Get PC_B
								I64Load $48
								I64And
								Get R10
								I64And
								Get R1
								Get R3
								I64Add
								I32WrapI64
								I64Load $8
								Get PC_B
								I64Load $56
								I64Xor
								Get PC_B
								I64Load $64
								I64And
								I64Or
								Get R1
								Get R3
								I64Add
								I32WrapI64
								I64Load $16
								Get PC_B
								I64Load $72
								I64Xor
								Get PC_B
								I64Load $80
								I64And
								I64Or
								Get PC_B
								I64Load $24
								I64Or
								Tee R11
								I64Eqz
								Get PC_B
								I64Load $32
								I64Const $24
								I64GtS
								I32And
								If
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $24
									Get PC_B
									I64Load $88
									I64Xor
									Get PC_B
									I64Load $96
									I64And
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $32
									Get PC_B
									I64Load $104
									I64Xor
									Get PC_B
									I64Load $112
									I64And
									I64Or
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $40
									Get PC_B
									I64Load $120
									I64Xor
									Get PC_B
									I64Load $128
									I64And
									I64Or
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $48
									Get PC_B
									I64Load $136
									I64Xor
									Get PC_B
									I64Load $144
									I64And
									I64Or
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $56
									Get PC_B
									I64Load $152
									I64Xor
									Get PC_B
									I64Load $160
									I64And
									I64Or
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $64
									Get PC_B
									I64Load $168
									I64Xor
									Get PC_B
									I64Load $176
									I64And
									I64Or
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $72
									Get PC_B
									I64Load $184
									I64Xor
									Get PC_B
									I64Load $192
									I64And
									I64Or
									Set R11
								End
								Get R11
								Set R9
								Br $0
							End
							Get R9
							I64Eqz
							If
								I64Const $1
								Set R7
								Br $2
							End
							Get R8
							I64Const $1
							I64Add
							Set R8
							Br $0
						End
					End
					Get SP
					I64Load $40
					Set R9
					Block
						Get R9
						I32WrapI64
						I64Load $0
						Get PC_B
						I64ExtendI32U
						I64Ne
						If
							Get R9
							I32WrapI64
							Get PC_B
							I64ExtendI32U
							I64Store $0
							Get R9
							I32WrapI64
							I64Const $0
							I64Store $8
						End
						Get R9
						I32WrapI64
						Get R9
						I32WrapI64
						I64Load $8
						I64Const $1
						I64Add
						I64Store $8
						Get R9
						I32WrapI64
						I64Load $8
						I64Const $3
						I64GeS
						If
							Get R9
							I32WrapI64
							Get PC_B
							I64ExtendI32U
							I64Store $592
							Get R9
							I32WrapI64
							I64Const $0
							I64Store $8
						End
					End
					Get R7
					Set R5
					Br $0
				End
				Get R5
				I64Const $0
				I64Ne
				If
					Get R5
					I64Const $0
					I64LtS
					If
						I64Const $1
						Set R6
						Get R0
						I32WrapI64
						Set SP
						Get SP
						Get R6
						I64Store ret+8(FP)
						RET
					End
					Get PC_B
					I64Load $632
					Drop
					Block
						Get SP
						I64Const $-1
						I64Store $56
						Get PC_B
						I64Load $632
						I64Const $10
						I64Eq
						If
							Get R4
							Set R4
							Br $1
						End
						Get PC_B
						I64Load $616
						Get SP
						I64Load $64
						I64Ne
						If
							Get PC_B
							I64Load $616
							Set R6
							Block
								Get SP
								I64Load $264
								Drop
								Get SP
								I64Load $64
								Set R7
								Get R6
								Get R7
								I64GtS
								Get SP
								I64Load $72
								I64Eqz
								I32And
								If
									Get R7
									Set R8
									Block
										Loop
											Get R8
											Get R6
											I64LtS
											Get SP
											I64Load $104
											Get R8
											I64Const $8
											I64Mul
											I64Add
											I32WrapI64
											I64Load $0
											I64Const $0
											I64Ne
											I32And
											I32Eqz
											BrIf $1
											Get R8
											I64Const $1
											I64Add
											Set R8
											Br $0
										End
									End
									Get R8
									Get R6
									I64Eq
									Get R6
									Get R7
									I64Sub
									I64Const $3
									I64LeS
									I32And
									If
										Block
											Loop
												Get R7
												Get R6
												I64LtS
												I32Eqz
												BrIf $1
												Get SP
												I64Load $8
												Get R4
												I64Add
												I32WrapI64
												I64Const $0
												I64Store $0
												Get SP
												I64Load $80
												Get R7
												I64Const $16
												I64Mul
												I64Add
												I32WrapI64
												Get R4
												I64Store $0
												Get R4
												I64Const $1
												I64Add
												Set R4
												Get SP
												I64Load $80
												Get R7
												I64Const $16
												I64Mul
												I64Add
												I32WrapI64
												Get R4
												I64Store $8
												Get R7
												I64Const $1
												I64Add
												Set R7
												Br $0
											End
										End
										Get R4
										Set R4
										Br $2
									End
								End
								Get SP
								I64Load $88
								Get R6
								I64Const $8
								I64Mul
								I64Add
								I32WrapI64
								I64Load $0
								Get SP
								I64Load $96
								I64Eq
								If
									I64Const $-1
									Set R4
									Br $1
								End
								Get SP
								I64Const $1
								I64Store $72
								Get R4
								Set R4
								Br $0
							End
							Get R4
							I64Const $0
							I64LtS
							If
								I64Const $-1
								Set R4
								Br $2
							End
							Get PC_B
							I64Load $632
							Drop
						End
						Get SP
						Get R4
						I64Store $24
						Block
							Get PC_B
							I64Load $200
							I64Const $0
							I64Ne
							If
								Get R2
								Get R4
								I64Add
								I32WrapI64
								I64Const $2
								I64Store8 $0
								Get R4
								Get PC_B
								I64Load $624
								I64Add
								Set R4
							Else
								Get PC_B
								I64Load $624
								I64Eqz
								If
									I64Const $-1
									Set R4
									Br $2
								End
							End
							Get R2
							Get R4
							I64Add
							I32WrapI64
							I64Const $0
							I64Store8 $0
							Get R4
							I64Const $1
							I64Add
							Set R4
							Br $0
						End
						Get PC_B
						I64Load $616
						Set R6
						Get SP
						I64Load $24
						Set R7
						Block
							Get SP
							I64Load $264
							Drop
							Get SP
							I64Load $80
							Get R6
							I64Const $16
							I64Mul
							I64Add
							I32WrapI64
							Get R7
							I64Store $0
							Get SP
							I64Load $80
							Get R6
							I64Const $16
							I64Mul
							I64Add
							I32WrapI64
							Get R4
							I64Store $8
							Get SP
							I64Load $88
							Get R6
							I64Const $8
							I64Mul
							I64Add
							I32WrapI64
							Get SP
							I64Load $96
							I64Store $0
							Get R6
							Get SP
							I64Load $64
							I64GeS
							If
								Get SP
								Get R6
								I64Const $1
								I64Add
								I64Store $64
							End
						End
						Get R4
						Set R4
						Br $0
					End
					Get R4
					I64Const $0
					I64LtS
					If
						I64Const $4
						Set R6
						Get R0
						I32WrapI64
						Set SP
						Get SP
						Get R6
						I64Store ret+8(FP)
						RET
					End
					Get R3
					Get PC_B
					I64Load $32
					I64Add
					Set R3
					Get SP
					Get PC_B
					I64ExtendI32U
					I64Store $40
					Get PC_B
					I64Load $592
					I32WrapI64
					Set PC_B
					Br $2
				End
			End
			Get PC_B
			I64Load $632
			Drop
			Get PC_B
			I64Load $632
			I64Const $10
			I64GeS
			If
				Get SP
				Get R3
				Get PC_B
				I64Load $424
				I64Add
				I64Store $16
				Get SP
				Get R4
				I64Store $24
				Get SP
				Get PC_B
				I64ExtendI32U
				I64Store $32
				Get SP
				I64Load $16
				Set R5
				Block
					Get PC_B
					I64Load $632
					I64Const $10
					I64Ne
					If
						Get SP
						I64Load $56
						I64Const $-1
						I64Ne
						If
							I64Const $0
							Set R3
							Br $2
						End
						Get R5
						Set R6
						Block
							Get SP
							I64Load $168
							Get SP
							I64Load $176
							I64GeS
							Get SP
							I64Load $72
							I64Const $0
							I64Ne
							I32Or
							Get SP
							I64Load $64
							Get SP
							I64Load $200
							I64Ne
							I32Or
							Get R4
							Get R6
							I64Sub
							Get SP
							I64Load $216
							I64GtS
							I32Or
							If
								I64Const $0
								Set R3
								Br $1
							End
							Get PC_B
							I64Load $16
							Set R7
							Block
								Block
									Loop
										Get R7
										I32WrapI64
										I64Load $0
										Tee R8
										I64Const $16777215
										I64And
										Set R9
										Block
											Loop
												Get R9
												I64Const $0
												I64Ne
												I32Eqz
												BrIf $1
												Get R7
												I64Const $8
												I64Add
												Set R7
												Get R1
												Get R6
												I64Add
												I32WrapI64
												I64Load $0
												Get R7
												I32WrapI64
												I64Load $0
												I64Ne
												If
													I64Const $0
													Set R6
													Br $5
												End
												Get R6
												I64Const $8
												I64Add
												Set R6
												Get R9
												I64Const $1
												I64Sub
												Set R9
												Br $0
											End
										End
										Get R1
										Get R6
										I64Add
										I32WrapI64
										I64Load $0
										Get R7
										I32WrapI64
										I64Load $8
										I64Xor
										Get R7
										I32WrapI64
										I64Load $16
										I64And
										I64Const $0
										I64Ne
										If
											I64Const $0
											Set R6
											Br $3
										End
										Get R6
										Get R8
										I64Const $32
										I64ShrU
										I64Const $255
										I64And
										I64Add
										Set R6
										Get R8
										I64Const $63
										I64ShrU
										I64Const $0
										I64Ne
										If
											Get R6
											Set R6
											Br $3
										End
										Get R7
										I32WrapI64
										I64Load $24
										Set R10
										Get R7
										I32WrapI64
										I64Load $32
										Set R11
										Get R7
										I32WrapI64
										I64Load $40
										Set R12
										Block
											Loop
												Get R1
												Get R6
												I64Add
												I32WrapI64
												I64Load $0
												Tee R13
												Get R10
												I64Xor
												Get R11
												I64Sub
												Get R13
												Get R12
												I64Xor
												I64Const $72340172838076673
												I64Sub
												I64Or
												Get R13
												I64Const $-1
												I64Xor
												I64And
												I64Const $-9187201950435737472
												I64And
												Tee R13
												I64Const $0
												I64Ne
												If
													Get R6
													Get R13
													I64Ctz
													I64Const $3
													I64ShrS
													I64Add
													Set R6
													Br $2
												End
												Get R6
												I64Const $8
												I64Add
												Set R6
												Br $0
											End
										End
										Get R7
										I64Const $48
										I64Add
										Set R7
										Br $0
									End
								End
							End
							Get R6
							I64Eqz
							If
								I64Const $0
								Set R3
								Br $1
							End
							Get R6
							Set R7
							Get SP
							I64Load $48
							I64Eqz
							If
								Get R1
								Get R6
								I64Add
								I32WrapI64
								I64Load8U $0
								I64Const $123
								I64Ne
								If
									I64Const $0
									Set R3
									Br $2
								End
								Get SP
								I64Const $-256
								I64Store $56
							Else
								Get SP
								I64Load $208
								I32WrapI64
								I64Load $16
								Set R8
								Block
									Block
										Loop
											Get R8
											I32WrapI64
											I64Load $0
											Tee R9
											I64Const $16777215
											I64And
											Set R10
											Block
												Loop
													Get R10
													I64Const $0
													I64Ne
													I32Eqz
													BrIf $1
													Get R8
													I64Const $8
													I64Add
													Set R8
													Get R1
													Get R6
													I64Add
													I32WrapI64
													I64Load $0
													Get R8
													I32WrapI64
													I64Load $0
													I64Ne
													If
														I64Const $0
														Set R6
														Br $5
													End
													Get R6
													I64Const $8
													I64Add
													Set R6
													Get R10
													I64Const $1
													I64Sub
													Set R10
													Br $0
												End
											End
											Get R1
											Get R6
											I64Add
											I32WrapI64
											I64Load $0
											Get R8
											I32WrapI64
											I64Load $8
											I64Xor
											Get R8
											I32WrapI64
											I64Load $16
											I64And
											I64Const $0
											I64Ne
											If
												I64Const $0
												Set R6
												Br $3
											End
											Get R6
											Get R9
											I64Const $32
											I64ShrU
											I64Const $255
											I64And
											I64Add
											Set R6
											Get R9
											I64Const $63
											I64ShrU
											I64Const $0
											I64Ne
											If
												Get R6
												Set R6
												Br $3
											End
											Get R8
											I32WrapI64
											I64Load $24
											Set R11
											Get R8
											I32WrapI64
											I64Load $32
											Set R12
											Get R8
											I32WrapI64
											I64Load $40
											Set R13
											Block
												Loop
													Get R1
													Get R6
													I64Add
													I32WrapI64
													I64Load $0
													Tee R14
													Get R11
													I64Xor
													Get R12
													I64Sub
													Get R14
													Get R13
													I64Xor
													I64Const $72340172838076673
													I64Sub
													I64Or
													Get R14
													I64Const $-1
													I64Xor
													I64And
													I64Const $-9187201950435737472
													I64And
													Tee R14
													I64Const $0
													I64Ne
													If
														Get R6
														Get R14
														I64Ctz
														I64Const $3
														I64ShrS
														I64Add
														Set R6
														Br $2
													End
													Get R6
													I64Const $8
													I64Add
													Set R6
													Br $0
												End
											End
											Get R8
											I64Const $48
											I64Add
											Set R8
											Br $0
										End
									End
								End
							End
							Get R6
							I64Const $0
							I64Ne
							If
								Block
									Get SP
									I64Load $264
									Drop
									Get SP
									I64Load $160
									Get SP
									I64Load $168
									I64Const $80
									I64Mul
									I64Add
									Set R8
									Get SP
									I64Load $80
									Get SP
									I64Load $224
									I64Add
									I32WrapI64
									I64Load $0
									Set R9
									Get R4
									Set R10
									Get SP
									I64Load $240
									I64Const $0
									I64GeS
									If
										Get SP
										I64Load $80
										Get SP
										I64Load $240
										I64Add
										I32WrapI64
										I64Load $0
										Set R10
									End
									Get R8
									I32WrapI64
									I64Const $0
									I64Store $72
									Get R8
									I32WrapI64
									I64Const $0
									I64Store $64
									Get R8
									I32WrapI64
									Get SP
									I64Load $192
									Get R10
									Get SP
									I64Load $192
									I64Sub
									I64Const $32
									I64Shl
									I64Or
									I64Store $56
									Get R8
									I32WrapI64
									Get SP
									I64Load $264
									I64Store $48
									Get R8
									I32WrapI64
									Get R9
									Get SP
									I64Load $80
									Get SP
									I64Load $232
									I64Add
									I32WrapI64
									I64Load $0
									Get R9
									I64Sub
									I64Const $32
									I64Shl
									I64Or
									I64Store $40
									Get R8
									I32WrapI64
									Get SP
									I64Load $256
									I64Store $32
									Get R8
									I32WrapI64
									I64Const $-1
									I64Store $24
									Get R8
									I32WrapI64
									I64Const $-1
									I64Store $16
									Get R8
									I32WrapI64
									I64Const $4294967295
									I64Store $8
									Get R8
									I32WrapI64
									Get SP
									I64Load $248
									I64Store $0
									Get SP
									Get SP
									I64Load $248
									I64Const $1
									I64Add
									I64Store $248
									Get SP
									Get SP
									I64Load $168
									I64Const $1
									I64Add
									I64Store $168
									Get SP
									Get R7
									I64Store $184
									Get SP
									Get R4
									I64Store $192
									Get SP
									I64Const $0
									I64Store $64
									Get SP
									Get SP
									I64Load $96
									I64Const $1
									I64Add
									I64Store $96
									Get SP
									Get SP
									I64Load $208
									I64Store $40
								End
							End
							Get R6
							Set R3
							Br $0
						End
						Br $1
					End
					Get SP
					I64Const $-1
					I64Store $56
					Get PC_B
					I64Load $16
					I64Const $0
					I64Eq
					If
						I64Const $0
						Set R3
						Br $1
					End
					Get R5
					Set R6
					Get PC_B
					I64Load $16
					Set R7
					Block
						Block
							Loop
								Get R7
								I32WrapI64
								I64Load $0
								Tee R8
								I64Const $16777215
								I64And
								Set R9
								Block
									Loop
										Get R9
										I64Const $0
										I64Ne
										I32Eqz
										BrIf $1
										Get R7
										I64Const $8
										I64Add
										Set R7
										Get R1
										Get R6
										I64Add
										I32WrapI64
										I64Load $0
										Get R7
										I32WrapI64
										I64Load $0
										I64Ne
										If
											I64Const $0
											Set R3
											Br $5
										End
										Get R6
										I64Const $8
										I64Add
										Set R6
										Get R9
										I64Const $1
										I64Sub
										Set R9
										Br $0
									End
								End
								Get R1
								Get R6
								I64Add
								I32WrapI64
								I64Load $0
								Get R7
								I32WrapI64
								I64Load $8
								I64Xor
								Get R7
								I32WrapI64
								I64Load $16
								I64And
								I64Const $0
								I64Ne
								If
									I64Const $0
									Set R3
									Br $3
								End
								Get R6
								Get R8
								I64Const $32
								I64ShrU
								I64Const $255
								I64And
								I64Add
								Set R6
								Get R8
								I64Const $63
								I64ShrU
								I64Const $0
								I64Ne
								If
									Get R6
									Set R3
									Br $3
								End
								Get R7
								I32WrapI64
								I64Load $24
								Set R10
								Get R7
								I32WrapI64
								I64Load $32
								Set R11
								Get R7
								I32WrapI64
								I64Load $40
								Set R12
								Block
									Loop
										Get R1
										Get R6
										I64Add
										I32WrapI64
										I64Load $0
										Tee R13
										Get R10
										I64Xor
										Get R11
										I64Sub
										Get R13
										Get R12
										I64Xor
										I64Const $72340172838076673
										I64Sub
										I64Or
										Get R13
										I64Const $-1
										I64Xor
										I64And
										I64Const $-9187201950435737472
										I64And
										Tee R13
										I64Const $0
										I64Ne
										If
											Get R6
											Get R13
											I64Ctz
											I64Const $3
											I64ShrS
											I64Add
											Set R6
											Br $2
										End
										Get R6
										I64Const $8
										I64Add
										Set R6
										Br $0
									End
								End
								Get R7
								I64Const $48
								I64Add
								Set R7
								Br $0
							End
						End
					End
					Br $0
				End
				Get R3
				I64Eqz
				If
					Block
						Get PC_B
						I64Load $632
						I64Const $10
						I64Eq
						If
							I64Const $3
							Set R6
							Br $1
						End
						Get SP
						I64Load $56
						I64Const $-1
						I64Ne
						If
							I64Const $1
							Set R6
							Br $1
						End
						I64Const $0
						Set R6
						Br $0
					End
					Get R6
					Set R5
					Get R0
					I32WrapI64
					Set SP
					Get SP
					Get R5
					I64Store ret+8(FP)
					RET
				End
				Get PC_B
				I64Load $632
				I64Const $11
				I64Eq
				If
					Get SP
					I64Load $208
					I32WrapI64
					Set PC_B
				End
				Get SP
				Get PC_B
				I64ExtendI32U
				I64Store $40
				Get PC_B
				I64Load $592
				I32WrapI64
				Set PC_B
				Br $1
			End
			Get PC_B
			I64Load $616
			Get SP
			I64Load $64
			I64Ne
			If
				Get PC_B
				I64Load $616
				Set R5
				Block
					Get SP
					I64Load $264
					Drop
					Get SP
					I64Load $64
					Set R6
					Get R5
					Get R6
					I64GtS
					Get SP
					I64Load $72
					I64Eqz
					I32And
					If
						Get R6
						Set R7
						Block
							Loop
								Get R7
								Get R5
								I64LtS
								Get SP
								I64Load $104
								Get R7
								I64Const $8
								I64Mul
								I64Add
								I32WrapI64
								I64Load $0
								I64Const $0
								I64Ne
								I32And
								I32Eqz
								BrIf $1
								Get R7
								I64Const $1
								I64Add
								Set R7
								Br $0
							End
						End
						Get R7
						Get R5
						I64Eq
						Get R5
						Get R6
						I64Sub
						I64Const $3
						I64LeS
						I32And
						If
							Block
								Loop
									Get R6
									Get R5
									I64LtS
									I32Eqz
									BrIf $1
									Get SP
									I64Load $8
									Get R4
									I64Add
									I32WrapI64
									I64Const $0
									I64Store $0
									Get SP
									I64Load $80
									Get R6
									I64Const $16
									I64Mul
									I64Add
									I32WrapI64
									Get R4
									I64Store $0
									Get R4
									I64Const $1
									I64Add
									Set R4
									Get SP
									I64Load $80
									Get R6
									I64Const $16
									I64Mul
									I64Add
									I32WrapI64
									Get R4
									I64Store $8
									Get R6
									I64Const $1
									I64Add
									Set R6
									Br $0
								End
							End
							Get R4
							Set R4
							Br $2
						End
					End
					Get SP
					I64Load $88
					Get R5
					I64Const $8
					I64Mul
					I64Add
					I32WrapI64
					I64Load $0
					Get SP
					I64Load $96
					I64Eq
					If
						I64Const $-1
						Set R4
						Br $1
					End
					Get SP
					I64Const $1
					I64Store $72
					Get R4
					Set R4
					Br $0
				End
				Get R4
				I64Const $0
				I64LtS
				If
					I64Const $4
					Set R5
					Get R0
					I32WrapI64
					Set SP
					Get SP
					Get R5
					I64Store ret+8(FP)
					RET
				End
			End
			Get R3
			Get PC_B
			I64Load $424
			I64Add
			Set R3
			Get SP
			I64Const $-1
			I64Store $56
			Get SP
			Get R3
			I64Store $16
			Get SP
			Get R4
			I64Store $24
			Get SP
			Get PC_B
			I64ExtendI32U
			I64Store $32
			Get R2
			Get R4
			I64Add
			I32WrapI64
			I64Const $2
			I64Store8 $0
			Get R4
			Get PC_B
			I64Load $624
			I64Add
			Set R5
			Block
				Get PC_B
				I64Load $632
				I64Const $1
				I64LeS
				If
					Block
						I64Const $0
						Set R6
						I64Const $0
						Set R7
						Get PC_B
						I64Load $632
						I64Eqz
						If
							Get SP
							I64Load $128
							Set R8
							Get R5
							Get PC_B
							I64Load $608
							I64Add
							Set R9
							Block
								I64Const $0
								Set R10
								Block
									Loop
										I64Const $0
										Set R11
										Block
											Get R1
											Get R3
											I64Add
											I32WrapI64
											I64Load $0
											Set R12
											Get R2
											Get R9
											I64Add
											I32WrapI64
											Get R12
											I64Store $0
											Get R12
											I64Const $144680345676153346
											I64Xor
											I64Const $2387225703656530209
											I64Sub
											Get R12
											I64Const $6655295901103053916
											I64Xor
											I64Const $72340172838076673
											I64Sub
											I64Or
											Get R12
											I64Const $-1
											I64Xor
											I64And
											I64Const $-9187201950435737472
											I64And
											Tee R13
											I64Eqz
											If
												Get R10
												Get R12
												I64Or
												Set R10
												Get R1
												Get R3
												I64Add
												I32WrapI64
												I64Load $8
												Set R12
												Get R2
												Get R9
												I64Add
												I32WrapI64
												Get R12
												I64Store $8
												Get R3
												I64Const $8
												I64Add
												Set R3
												Get R9
												I64Const $8
												I64Add
												Set R9
												Get R12
												I64Const $144680345676153346
												I64Xor
												I64Const $2387225703656530209
												I64Sub
												Get R12
												I64Const $6655295901103053916
												I64Xor
												I64Const $72340172838076673
												I64Sub
												I64Or
												Get R12
												I64Const $-1
												I64Xor
												I64And
												I64Const $-9187201950435737472
												I64And
												Tee R13
												I64Eqz
												If
													Get R10
													Get R12
													I64Or
													Set R10
													Get R1
													Get R3
													I64Add
													I32WrapI64
													I64Load $8
													Set R12
													Get R2
													Get R9
													I64Add
													I32WrapI64
													Get R12
													I64Store $8
													Get R3
													I64Const $8
													I64Add
													Set R3
													Get R9
													I64Const $8
													I64Add
													Set R9
													Get R12
													I64Const $144680345676153346
													I64Xor
													I64Const $2387225703656530209
													I64Sub
													Get R12
													I64Const $6655295901103053916
													I64Xor
													I64Const $72340172838076673
													I64Sub
													I64Or
													Get R12
													I64Const $-1
													I64Xor
													I64And
													I64Const $-9187201950435737472
													I64And
													Tee R13
													I64Eqz
													If
														Get R10
														Get R12
														I64Or
														Set R10
														Get R1
														Get R3
														I64Add
														I32WrapI64
														I64Load $8
														Set R12
														Get R2
														Get R9
														I64Add
														I32WrapI64
														Get R12
														I64Store $8
														Get R3
														I64Const $8
														I64Add
														Set R3
														Get R9
														I64Const $8
														I64Add
														Set R9
														Get R12
														I64Const $144680345676153346
														I64Xor
														I64Const $2387225703656530209
														I64Sub
														Get R12
														I64Const $6655295901103053916
														I64Xor
														I64Const $72340172838076673
														I64Sub
														I64Or
														Get R12
														I64Const $-1
														I64Xor
														I64And
														I64Const $-9187201950435737472
														I64And
														Tee R13
														I64Eqz
														If
															Get R3
															I64Const $8
															I64Add
															Get R9
															I64Const $8
															I64Add
															Get R10
															Get R12
															I64Or
															I64Const $0
															Set R11
															Set R10
															Set R9
															Set R3
															Br $4
														End
													End
												End
											End
											Get R12
											Get R13
											I64Const $0
											Get R13
											I64Sub
											I64And
											I64Const $7
											I64ShrU
											I64Const $1
											I64Sub
											I64And
											Set R12
											Get R13
											I64Ctz
											I64Const $3
											I64ShrS
											Set R14
											Get R3
											Get R14
											I64Add
											Get R9
											Get R14
											I64Add
											Get R10
											Get R12
											I64Or
											Get R13
											Set R11
											Set R10
											Set R9
											Set R3
											Br $0
										End
										Get R11
										I64Eqz
										If
											Br $1
										End
										Get R1
										Get R3
										I64Add
										I32WrapI64
										I64Load8U $0
										Tee R11
										I64Const $34
										I64Eq
										If
											Get R3
											Get R9
											Get R10
											Set R7
											Set R6
											Set R3
											Br $3
										End
										Get R11
										I64Const $92
										I64Ne
										If
											Get R3
											I64Const $0
											I64Const $0
											Set R7
											Set R6
											Set R3
											Br $3
										End
										Get R8
										Get R1
										Get R3
										I64Add
										I32WrapI64
										I64Load8U $1
										I64Add
										I32WrapI64
										I64Load8U $0
										Tee R11
										I64Eqz
										If
											Get R3
											I64Const $0
											I64Const $0
											Set R7
											Set R6
											Set R3
											Br $3
										End
										Get R2
										Get R9
										I64Add
										I32WrapI64
										Get R11
										I64Store $0
										Get R3
										I64Const $2
										I64Add
										Set R3
										Get R9
										I64Const $1
										I64Add
										Set R9
										Br $0
									End
								End
							End
						Else
							Get R5
							Get PC_B
							I64Load $608
							I64Add
							Set R8
							Block
								I64Const $0
								Set R9
								Block
									Loop
										I64Const $0
										Set R10
										Block
											Get R1
											Get R3
											I64Add
											I32WrapI64
											I64Load $0
											Set R11
											Get R2
											Get R8
											I64Add
											I32WrapI64
											Get R11
											I64Store $0
											Get R11
											I64Const $434041037028460038
											I64Xor
											I64Const $2387225703656530209
											I64Sub
											Get R11
											I64Const $4340410370284600380
											I64Xor
											I64Const $72340172838076673
											I64Sub
											I64Or
											Get R11
											I64Const $-1
											I64Xor
											I64And
											I64Const $-9187201950435737472
											I64And
											Tee R12
											I64Eqz
											If
												Get R9
												Get R11
												I64Or
												Set R9
												Get R1
												Get R3
												I64Add
												I32WrapI64
												I64Load $8
												Set R11
												Get R2
												Get R8
												I64Add
												I32WrapI64
												Get R11
												I64Store $8
												Get R3
												I64Const $8
												I64Add
												Set R3
												Get R8
												I64Const $8
												I64Add
												Set R8
												Get R11
												I64Const $434041037028460038
												I64Xor
												I64Const $2387225703656530209
												I64Sub
												Get R11
												I64Const $4340410370284600380
												I64Xor
												I64Const $72340172838076673
												I64Sub
												I64Or
												Get R11
												I64Const $-1
												I64Xor
												I64And
												I64Const $-9187201950435737472
												I64And
												Tee R12
												I64Eqz
												If
													Get R9
													Get R11
													I64Or
													Set R9
													Get R1
													Get R3
													I64Add
													I32WrapI64
													I64Load $8
													Set R11
													Get R2
													Get R8
													I64Add
													I32WrapI64
													Get R11
													I64Store $8
													Get R3
													I64Const $8
													I64Add
													Set R3
													Get R8
													I64Const $8
													I64Add
													Set R8
													Get R11
													I64Const $434041037028460038
													I64Xor
													I64Const $2387225703656530209
													I64Sub
													Get R11
													I64Const $4340410370284600380
													I64Xor
													I64Const $72340172838076673
													I64Sub
													I64Or
													Get R11
													I64Const $-1
													I64Xor
													I64And
													I64Const $-9187201950435737472
													I64And
													Tee R12
													I64Eqz
													If
														Get R9
														Get R11
														I64Or
														Set R9
														Get R1
														Get R3
														I64Add
														I32WrapI64
														I64Load $8
														Set R11
														Get R2
														Get R8
														I64Add
														I32WrapI64
														Get R11
														I64Store $8
														Get R3
														I64Const $8
														I64Add
														Set R3
														Get R8
														I64Const $8
														I64Add
														Set R8
														Get R11
														I64Const $434041037028460038
														I64Xor
														I64Const $2387225703656530209
														I64Sub
														Get R11
														I64Const $4340410370284600380
														I64Xor
														I64Const $72340172838076673
														I64Sub
														I64Or
														Get R11
														I64Const $-1
														I64Xor
														I64And
														I64Const $-9187201950435737472
														I64And
														Tee R12
														I64Eqz
														If
															Get R3
															I64Const $8
															I64Add
															Get R8
															I64Const $8
															I64Add
															Get R9
															Get R11
															I64Or
															I64Const $0
															Set R10
															Set R9
															Set R8
															Set R3
															Br $4
														End
													End
												End
											End
											Get R11
											Get R12
											I64Const $0
											Get R12
											I64Sub
											I64And
											I64Const $7
											I64ShrU
											I64Const $1
											I64Sub
											I64And
											Set R11
											Get R12
											I64Ctz
											I64Const $3
											I64ShrS
											Set R13
											Get R3
											Get R13
											I64Add
											Get R8
											Get R13
											I64Add
											Get R9
											Get R11
											I64Or
											Get R12
											Set R10
											Set R9
											Set R8
											Set R3
											Br $0
										End
										Get R10
										I64Eqz
										If
											Br $1
										End
										Get R1
										Get R3
										I64Add
										I32WrapI64
										I64Load $0
										Tee R10
										I64Const $255
										I64And
										I64Const $60
										I64Eq
										If
											Get R3
											Get R8
											Get R9
											Set R7
											Set R6
											Set R3
											Br $3
										End
										Block
											Get R10
											I64Const $255
											I64And
											Tee R13
											I64Const $10
											I64Eq
											Get R13
											I64Const $9
											I64Eq
											I32Or
											If
												Get R13
												I64Const $1
												Set R12
												Set R11
												Br $1
											End
											Get R10
											I64Const $1099511627775
											I64And
											I64Const $255289286950
											I64Eq
											If
												I64Const $38
												I64Const $5
												Set R12
												Set R11
												Br $1
											End
											Get R10
											I64Const $4294967295
											I64And
											I64Const $997485606
											I64Eq
											If
												I64Const $60
												I64Const $4
												Set R12
												Set R11
												Br $1
											End
											Get R10
											I64Const $4294967295
											I64And
											I64Const $997484326
											I64Eq
											If
												I64Const $62
												I64Const $4
												Set R12
												Set R11
												Br $1
											End
											Get R10
											I64Const $281474976710655
											I64And
											I64Const $65371272212774
											I64Eq
											If
												I64Const $34
												I64Const $6
												Set R12
												Set R11
												Br $1
											End
											Get R10
											I64Const $281474976710655
											I64And
											I64Const $65366976913702
											I64Eq
											If
												I64Const $39
												I64Const $6
												Set R12
												Set R11
												Br $1
											End
											I64Const $0
											I64Const $0
											Set R12
											Set R11
											Br $0
										End
										Get R12
										I64Eqz
										If
											Get R3
											I64Const $0
											I64Const $0
											Set R7
											Set R6
											Set R3
											Br $3
										End
										Get R2
										Get R8
										I64Add
										I32WrapI64
										Get R11
										I64Store $0
										Get R3
										Get R12
										I64Add
										Set R3
										Get R8
										I64Const $1
										I64Add
										Set R8
										Br $0
									End
								End
							End
						End
						Get R6
						I64Eqz
						If
							Get R1
							Get R3
							I64Add
							I32WrapI64
							I64Load8U $0
							I64Eqz
							If
								Get SP
								Get R3
								I64Store $16
								I64Const $-1
								I64Const $6
								Set R5
								Set R3
								Br $2
							End
							I64Const $-1
							I64Const $2
							Set R5
							Set R3
							Br $1
						End
						Get PC_B
						I64Load $632
						Drop
						Get R6
						Get R5
						I64Sub
						Get PC_B
						I64Load $608
						I64Sub
						Set R8
						Get R7
						I64Const $-9187201950435737472
						I64And
						I64Const $0
						I64Ne
						If
							Get R6
							Get R8
							I64Sub
							Set R10
							Get PC_B
							I64Load $632
							Set R11
							Block
								Get R10
								Get R8
								I64Add
								Set R12
								Block
									Loop
										Get R10
										Get R12
										I64LtS
										I32Eqz
										BrIf $1
										Get R2
										Get R10
										I64Add
										I32WrapI64
										I64Load $0
										Tee R13
										I64Const $-9187201950435737472
										I64And
										I64Eqz
										If
											Get R2
											Get R10
											I64Add
											I32WrapI64
											I64Load $8
											Get R2
											Get R10
											I64Add
											I32WrapI64
											I64Load $16
											I64Or
											Get R2
											Get R10
											I64Add
											I32WrapI64
											I64Load $24
											I64Or
											I64Const $-9187201950435737472
											I64And
											I64Eqz
											If
												Get R10
												I64Const $32
												I64Add
												Set R10
											Else
												Get R10
												I64Const $8
												I64Add
												Set R10
											End
											Br $1
										End
										Get R10
										Get R13
										I64Const $-9187201950435737472
										I64And
										I64Ctz
										I64Const $3
										I64ShrS
										I64Add
										Tee R10
										Get R12
										I64GeS
										If
											Br $2
										End
										Get R2
										Get R10
										I64Add
										I32WrapI64
										I64Load $0
										Tee R13
										I64Const $255
										I64And
										I64Const $224
										I64LtU
										If
											Get R13
											I64Const $255
											I64And
											I64Const $194
											I64LtU
											Get R13
											I64Const $49152
											I64And
											I64Const $32768
											I64Ne
											I32Or
											If
												I64Const $1
												Set R9
												Br $4
											End
											Get R10
											I64Const $2
											I64Add
											Tee R10
											Get R12
											I64GtS
											If
												I64Const $1
												Set R9
												Br $4
											End
											Br $1
										End
										Get R13
										I64Const $255
										I64And
										I64Const $240
										I64LtU
										If
											Get R13
											I64Const $12632064
											I64And
											I64Const $8421376
											I64Ne
											Get R13
											I64Const $255
											I64And
											I64Const $224
											I64Eq
											Get R13
											I64Const $8
											I64ShrU
											I64Const $255
											I64And
											I64Const $160
											I64LtU
											I32And
											I32Or
											Get R13
											I64Const $255
											I64And
											I64Const $237
											I64Eq
											Get R13
											I64Const $8
											I64ShrU
											I64Const $255
											I64And
											I64Const $159
											I64GtU
											I32And
											I32Or
											If
												I64Const $1
												Set R9
												Br $4
											End
											Get R11
											I64Const $0
											I64Ne
											Get R13
											I64Const $16711679
											I64And
											I64Const $12500975
											I64Eq
											I32And
											If
												I64Const $1
												Set R9
												Br $4
											End
											Get R10
											I64Const $3
											I64Add
											Tee R10
											Get R12
											I64GtS
											If
												I64Const $1
												Set R9
												Br $4
											End
											Br $1
										End
										Get R13
										I64Const $255
										I64And
										I64Const $244
										I64GtU
										Get R13
										I64Const $3233857536
										I64And
										I64Const $2155905024
										I64Ne
										I32Or
										Get R13
										I64Const $255
										I64And
										I64Const $240
										I64Eq
										Get R13
										I64Const $8
										I64ShrU
										I64Const $255
										I64And
										I64Const $144
										I64LtU
										I32And
										I32Or
										Get R13
										I64Const $255
										I64And
										I64Const $244
										I64Eq
										Get R13
										I64Const $8
										I64ShrU
										I64Const $255
										I64And
										I64Const $143
										I64GtU
										I32And
										I32Or
										If
											I64Const $1
											Set R9
											Br $3
										End
										Get R10
										I64Const $4
										I64Add
										Tee R10
										Get R12
										I64GtS
										If
											I64Const $1
											Set R9
											Br $3
										End
										Br $0
									End
								End
								I64Const $0
								Set R9
								Br $0
							End
							Get R9
							I64Const $0
							I64Ne
							If
								I64Const $-1
								I64Const $2
								Set R5
								Set R3
								Br $2
							End
						End
						Get PC_B
						I64Load $608
						Set R10
						Block
							Get R8
							I64Const $64
							I64LtS
							If
								Get R10
								I64Const $1
								I64Ne
								If
									I64Const $0
									Set R9
									Br $2
								End
								Get R2
								Get R5
								I64Add
								I32WrapI64
								Get R8
								I64Const $1
								I64Shl
								I64Const $255
								I64And
								I64Store8 $0
								I64Const $1
								Set R9
								Br $1
							End
							Get R8
							I64Const $8192
							I64LtS
							If
								Get R10
								I64Const $2
								I64Ne
								If
									I64Const $0
									Set R9
									Br $2
								End
								Get R2
								Get R5
								I64Add
								I32WrapI64
								Get R8
								I64Const $1
								I64Shl
								I64Const $128
								I64Or
								I64Const $255
								I64And
								I64Store8 $0
								Get R2
								Get R5
								I64Add
								I32WrapI64
								Get R8
								I64Const $6
								I64ShrS
								I64Const $255
								I64And
								I64Store8 $1
								I64Const $1
								Set R9
								Br $1
							End
							I64Const $0
							Set R9
							Br $0
						End
						Get R9
						I64Eqz
						If
							Get SP
							Get R3
							I64Store $16
							Get SP
							Get R8
							I64Store $152
							I64Const $-1
							I64Const $5
							Set R5
							Set R3
							Br $1
						End
						Get R3
						Get R6
						Set R5
						Set R3
						Br $0
					End
				Else
					Get PC_B
					I64Load $632
					I64Const $4
					I64LeS
					If
						Block
							I64Const $0
							Set R6
							Get R1
							Get R3
							I64Add
							I32WrapI64
							I64Load8U $0
							I64Const $45
							I64Eq
							If
								I64Const $1
								Set R6
								Get R3
								I64Const $1
								I64Add
								Set R3
							End
							Get PC_B
							I64Load $600
							I64Const $0
							I64Ne
							Get R1
							Get R3
							I64Add
							I32WrapI64
							I64Load8U $0
							I64Const $48
							I64Eq
							I32And
							Get R1
							Get R3
							I64Add
							I32WrapI64
							I64Load8U $1
							I64Const $48
							I64Sub
							I64Const $9
							I64LeU
							I32And
							If
								I64Const $-1
								I64Const $2
								Set R5
								Set R3
								Br $1
							End
							Get SP
							I64Load $112
							Set R9
							Block
								Get R1
								Get R3
								I64Add
								I32WrapI64
								I64Load $0
								I64Const $3472328296227680304
								I64Xor
								Tee R10
								I64Const $8536140394893047414
								I64Add
								Get R10
								I64Or
								I64Const $-9187201950435737472
								I64And
								Tee R11
								I64Const $0
								I64Ne
								If
									Get R11
									I64Ctz
									I64Const $56
									I64And
									Tee R11
									I64Eqz
									If
										I64Const $0
										I64Const $0
										Set R8
										Set R7
										Br $2
									End
									Get R10
									I64Const $64
									Get R11
									I64Sub
									I64Shl
									Tee R10
									I64Const $10
									I64Mul
									Get R10
									I64Const $8
									I64ShrU
									I64Add
									I64Const $1095216660735
									I64And
									I64Const $4294967296000100
									I64Mul
									Get R10
									I64Const $10
									I64Mul
									Get R10
									I64Const $8
									I64ShrU
									I64Add
									I64Const $16
									I64ShrU
									I64Const $1095216660735
									I64And
									I64Const $42949672960001
									I64Mul
									I64Add
									I64Const $32
									I64ShrU
									Get R11
									I64Const $3
									I64ShrU
									Set R8
									Set R7
									Br $1
								End
								Get R10
								I64Const $10
								I64Mul
								Get R10
								I64Const $8
								I64ShrU
								I64Add
								I64Const $1095216660735
								I64And
								I64Const $4294967296000100
								I64Mul
								Get R10
								I64Const $10
								I64Mul
								Get R10
								I64Const $8
								I64ShrU
								I64Add
								I64Const $16
								I64ShrU
								I64Const $1095216660735
								I64And
								I64Const $42949672960001
								I64Mul
								I64Add
								I64Const $32
								I64ShrU
								Set R12
								Get R1
								Get R3
								I64Add
								I32WrapI64
								I64Load $8
								I64Const $3472328296227680304
								I64Xor
								Tee R10
								I64Const $8536140394893047414
								I64Add
								Get R10
								I64Or
								I64Const $-9187201950435737472
								I64And
								Tee R11
								I64Const $0
								I64Ne
								If
									Get R11
									I64Ctz
									I64Const $56
									I64And
									Tee R11
									I64Eqz
									If
										Get R12
										I64Const $8
										Set R8
										Set R7
										Br $2
									End
									Get R10
									I64Const $64
									Get R11
									I64Sub
									I64Shl
									Set R10
									Get R12
									Get R9
									Get R11
									I64Add
									I32WrapI64
									I64Load $0
									I64Mul
									Get R10
									I64Const $10
									I64Mul
									Get R10
									I64Const $8
									I64ShrU
									I64Add
									I64Const $1095216660735
									I64And
									I64Const $4294967296000100
									I64Mul
									Get R10
									I64Const $10
									I64Mul
									Get R10
									I64Const $8
									I64ShrU
									I64Add
									I64Const $16
									I64ShrU
									I64Const $1095216660735
									I64And
									I64Const $42949672960001
									I64Mul
									I64Add
									I64Const $32
									I64ShrU
									I64Add
									I64Const $8
									Get R11
									I64Const $3
									I64ShrU
									I64Add
									Set R8
									Set R7
									Br $1
								End
								Get R12
								I64Const $100000000
								I64Mul
								Get R10
								I64Const $10
								I64Mul
								Get R10
								I64Const $8
								I64ShrU
								I64Add
								I64Const $1095216660735
								I64And
								I64Const $4294967296000100
								I64Mul
								Get R10
								I64Const $10
								I64Mul
								Get R10
								I64Const $8
								I64ShrU
								I64Add
								I64Const $16
								I64ShrU
								I64Const $1095216660735
								I64And
								I64Const $42949672960001
								I64Mul
								I64Add
								I64Const $32
								I64ShrU
								I64Add
								Set R12
								I64Const $16
								Set R11
								Block
									Loop
										Get R11
										I64Const $19
										I64LtU
										I32Eqz
										BrIf $1
										Block
											Get R1
											Get R3
											Get R11
											I64Add
											I64Add
											I32WrapI64
											I64Load8U $0
											I64Const $48
											I64Sub
											Tee R10
											I64Const $9
											I64GtU
											If
												Get R12
												Get R11
												Set R8
												Set R7
												Br $4
											End
											Get R11
											I64Const $18
											I64LtU
											If
												Get R12
												I64Const $10
												I64Mul
												Get R10
												I64Add
												Set R12
											End
										End
										Get R11
										I64Const $1
										I64Add
										Set R11
										Br $0
									End
								End
								Get R12
								I64Const $19
								Set R8
								Set R7
								Br $0
							End
							Get R8
							I64Eqz
							Get R8
							I64Const $18
							I64GtS
							I32Or
							If
								I64Const $-1
								I64Const $2
								Set R5
								Set R3
								Br $1
							End
							Get R3
							Get R8
							I64Add
							Set R3
							Get PC_B
							I64Load $632
							I64Const $2
							I64Eq
							If
								Get R7
								Set R9
								Get R6
								I64Const $0
								I64Ne
								If
									I64Const $0
									Get R9
									I64Sub
									Set R9
								End
								Get R9
								Get PC_B
								I64Load $208
								I64LtS
								Get R9
								Get PC_B
								I64Load $216
								I64GtS
								I32Or
								If
									I64Const $-1
									I64Const $2
									Set R5
									Set R3
									Br $2
								End
								Block
									Get R9
									I64Const $1
									I64Shl
									Get R9
									I64Const $63
									I64ShrS
									I64Xor
									Tee R10
									I64Const $128
									I64LtU
									If
										Get R2
										Get R5
										I64Add
										I32WrapI64
										Get R10
										I64Store $0
										Get R5
										I64Const $1
										I64Add
										Set R5
										Br $1
									End
									Get R10
									I64Const $72057594037927936
									I64GeU
									If
										Block
											Loop
												Get R10
												I64Const $128
												I64GeU
												I32Eqz
												BrIf $1
												Get R2
												Get R5
												I64Add
												I32WrapI64
												Get R10
												I64Const $127
												I64And
												I64Const $128
												I64Or
												I64Store $0
												Get R10
												I64Const $7
												I64ShrU
												Set R10
												Get R5
												I64Const $1
												I64Add
												Set R5
												Br $0
											End
										End
										Get R2
										Get R5
										I64Add
										I32WrapI64
										Get R10
										I64Store $0
										Get R5
										I64Const $1
										I64Add
										Set R5
										Br $1
									End
									I64Const $64
									Get R10
									I64Clz
									I64Sub
									I64Const $6
									I64Add
									I64Const $37
									I64Mul
									I64Const $8
									I64ShrS
									Set R11
									Get R10
									I64Const $268435455
									I64And
									Get R10
									I64Const $72057593769492480
									I64And
									I64Const $4
									I64Shl
									I64Or
									Tee R10
									I64Const $70364449226751
									I64And
									Get R10
									I64Const $1152851136131088384
									I64And
									I64Const $2
									I64Shl
									I64Or
									Tee R10
									I64Const $35747867511423103
									I64And
									Get R10
									I64Const $4575727041462157184
									I64And
									I64Const $1
									I64Shl
									I64Or
									Set R10
									Get R2
									Get R5
									I64Add
									I32WrapI64
									Get R10
									I64Const $-9187201950435737472
									I64Const $1
									I64Const $8
									Get R11
									I64Mul
									I64Const $8
									I64Sub
									I64Shl
									I64Const $1
									I64Sub
									I64And
									I64Or
									I64Store $0
									Get R5
									Get R11
									I64Add
									Set R5
									Br $0
								End
								Get R3
								Get R5
								Set R5
								Set R3
								Br $1
							End
							I64Const $0
							Set R9
							Get R1
							Get R3
							I64Add
							I32WrapI64
							I64Load8U $0
							I64Const $46
							I64Eq
							If
								Get R3
								I64Const $1
								I64Add
								Set R3
								Get SP
								I64Load $112
								Set R12
								Block
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $0
									I64Const $3472328296227680304
									I64Xor
									Tee R13
									I64Const $8536140394893047414
									I64Add
									Get R13
									I64Or
									I64Const $-9187201950435737472
									I64And
									Tee R14
									I64Const $0
									I64Ne
									If
										Get R14
										I64Ctz
										I64Const $56
										I64And
										Tee R14
										I64Eqz
										If
											I64Const $0
											I64Const $0
											Set R11
											Set R10
											Br $2
										End
										Get R13
										I64Const $64
										Get R14
										I64Sub
										I64Shl
										Tee R13
										I64Const $10
										I64Mul
										Get R13
										I64Const $8
										I64ShrU
										I64Add
										I64Const $1095216660735
										I64And
										I64Const $4294967296000100
										I64Mul
										Get R13
										I64Const $10
										I64Mul
										Get R13
										I64Const $8
										I64ShrU
										I64Add
										I64Const $16
										I64ShrU
										I64Const $1095216660735
										I64And
										I64Const $42949672960001
										I64Mul
										I64Add
										I64Const $32
										I64ShrU
										Get R14
										I64Const $3
										I64ShrU
										Set R11
										Set R10
										Br $1
									End
									Get R13
									I64Const $10
									I64Mul
									Get R13
									I64Const $8
									I64ShrU
									I64Add
									I64Const $1095216660735
									I64And
									I64Const $4294967296000100
									I64Mul
									Get R13
									I64Const $10
									I64Mul
									Get R13
									I64Const $8
									I64ShrU
									I64Add
									I64Const $16
									I64ShrU
									I64Const $1095216660735
									I64And
									I64Const $42949672960001
									I64Mul
									I64Add
									I64Const $32
									I64ShrU
									Set R15
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $8
									I64Const $3472328296227680304
									I64Xor
									Tee R13
									I64Const $8536140394893047414
									I64Add
									Get R13
									I64Or
									I64Const $-9187201950435737472
									I64And
									Tee R14
									I64Const $0
									I64Ne
									If
										Get R14
										I64Ctz
										I64Const $56
										I64And
										Tee R14
										I64Eqz
										If
											Get R15
											I64Const $8
											Set R11
											Set R10
											Br $2
										End
										Get R13
										I64Const $64
										Get R14
										I64Sub
										I64Shl
										Set R13
										Get R15
										Get R12
										Get R14
										I64Add
										I32WrapI64
										I64Load $0
										I64Mul
										Get R13
										I64Const $10
										I64Mul
										Get R13
										I64Const $8
										I64ShrU
										I64Add
										I64Const $1095216660735
										I64And
										I64Const $4294967296000100
										I64Mul
										Get R13
										I64Const $10
										I64Mul
										Get R13
										I64Const $8
										I64ShrU
										I64Add
										I64Const $16
										I64ShrU
										I64Const $1095216660735
										I64And
										I64Const $42949672960001
										I64Mul
										I64Add
										I64Const $32
										I64ShrU
										I64Add
										I64Const $8
										Get R14
										I64Const $3
										I64ShrU
										I64Add
										Set R11
										Set R10
										Br $1
									End
									Get R15
									I64Const $100000000
									I64Mul
									Get R13
									I64Const $10
									I64Mul
									Get R13
									I64Const $8
									I64ShrU
									I64Add
									I64Const $1095216660735
									I64And
									I64Const $4294967296000100
									I64Mul
									Get R13
									I64Const $10
									I64Mul
									Get R13
									I64Const $8
									I64ShrU
									I64Add
									I64Const $16
									I64ShrU
									I64Const $1095216660735
									I64And
									I64Const $42949672960001
									I64Mul
									I64Add
									I64Const $32
									I64ShrU
									I64Add
									Set R15
									I64Const $16
									Set R14
									Block
										Loop
											Get R14
											I64Const $19
											I64LtU
											I32Eqz
											BrIf $1
											Block
												Get R1
												Get R3
												Get R14
												I64Add
												I64Add
												I32WrapI64
												I64Load8U $0
												I64Const $48
												I64Sub
												Tee R13
												I64Const $9
												I64GtU
												If
													Get R15
													Get R14
													Set R11
													Set R10
													Br $4
												End
												Get R14
												I64Const $18
												I64LtU
												If
													Get R15
													I64Const $10
													I64Mul
													Get R13
													I64Add
													Set R15
												End
											End
											Get R14
											I64Const $1
											I64Add
											Set R14
											Br $0
										End
									End
									Get R15
									I64Const $19
									Set R11
									Set R10
									Br $0
								End
								Get R11
								I64Eqz
								Get R8
								Get R11
								I64Add
								I64Const $18
								I64GtS
								I32Or
								If
									I64Const $-1
									I64Const $2
									Set R5
									Set R3
									Br $2
								End
								Get R7
								Get SP
								I64Load $112
								Get R11
								I64Const $8
								I64Mul
								I64Add
								I32WrapI64
								I64Load $0
								I64Mul
								Get R10
								I64Add
								Set R7
								Get R3
								Get R11
								I64Add
								Set R3
								Get R11
								Set R9
							End
							Get PC_B
							I64Load $632
							I64Const $3
							I64Eq
							If
								Get SP
								I64Load $112
								Set R10
								Get R7
								Set R11
								Get R9
								Set R12
								Block
									Get PC_B
									I64Load $632
									Drop
									Block
										Loop
											Get R12
											Get PC_B
											I64Load $224
											I64GtS
											I32Eqz
											BrIf $1
											Get R11
											I64Const $10
											I64RemU
											I64Const $0
											I64Ne
											If
												I64Const $-1
												Set R5
												Br $3
											End
											Get R11
											I64Const $10
											I64DivU
											Set R11
											Get R12
											I64Const $1
											I64Sub
											Set R12
											Br $0
										End
									End
									Get R8
									Get PC_B
									I64Load $224
									I64Add
									I64Const $18
									I64GtS
									If
										I64Const $-1
										Set R5
										Br $1
									End
									Get R11
									Get R10
									Get PC_B
									I64Load $224
									Get R12
									I64Sub
									I64Const $8
									I64Mul
									I64Add
									I32WrapI64
									I64Load $0
									I64Mul
									Tee R11
									Get PC_B
									I64Load $232
									I64GeU
									If
										I64Const $-1
										Set R5
										Br $1
									End
									Get R11
									Set R13
									Get R6
									I64Const $0
									I64Ne
									If
										I64Const $0
										Get R13
										I64Sub
										Set R13
									End
									Block
										I64Const $64
										Get R13
										Get R13
										I64Const $63
										I64ShrS
										I64Xor
										I64Clz
										I64Sub
										I64Const $8
										I64Add
										I64Const $3
										I64ShrS
										Set R14
										Get R2
										Get R5
										I64Add
										I32WrapI64
										Get R14
										I64Const $1
										I64Shl
										I64Store $0
										Get R13
										I64Const $64
										I64Const $8
										Get R14
										I64Mul
										I64Sub
										I64Shl
										Tee R15
										I64Const $8
										I64ShrU
										I64Const $71777214294589695
										I64And
										Get R15
										I64Const $71777214294589695
										I64And
										I64Const $8
										I64Shl
										I64Or
										Tee R15
										I64Const $16
										I64ShrU
										I64Const $281470681808895
										I64And
										Get R15
										I64Const $281470681808895
										I64And
										I64Const $16
										I64Shl
										I64Or
										Set R15
										Get R2
										Get R5
										I64Add
										I32WrapI64
										Get R15
										I64Const $32
										I64ShrU
										Get R15
										I64Const $32
										I64Shl
										I64Or
										I64Store $1
										Get R5
										I64Const $1
										I64Add
										Get R14
										I64Add
										Set R5
										Br $0
									End
									Br $0
								End
								Get R5
								I64Const $0
								I64LtS
								If
									I64Const $-1
									I64Const $2
									Set R5
									Set R3
									Br $2
								End
								Get R3
								Get R5
								Set R5
								Set R3
								Br $1
							End
							Get R7
							I64Const $9007199254740992
							I64GeU
							If
								I64Const $-1
								I64Const $2
								Set R5
								Set R3
								Br $1
							End
							Get R2
							Get R5
							I64Add
							I32WrapI64
							Get R7
							F64ConvertI64U
							Get SP
							I64Load $120
							Get R9
							I64Const $8
							I64Mul
							I64Add
							I32WrapI64
							F64Load $0
							F64Div
							I64ReinterpretF64
							Get R6
							I64Const $63
							I64Shl
							I64Or
							I64Store $0
							Get R3
							Get R5
							I64Const $8
							I64Add
							Set R5
							Set R3
							Br $0
						End
					Else
						Get PC_B
						I64Load $632
						Set R6
						Block
							Get R6
							I64Const $6
							I64Eq
							If
								I64Const $0
								Set R7
								Block
									I64Const $0
									Set R8
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $0
									Set R9
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $8
									Set R10
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $12
									Set R11
									Get R9
									I64Const $-72056498821267456
									I64And
									I64Const $3242591924980285440
									I64Ne
									Get R10
									I64Const $280375481794560
									I64And
									I64Const $63771679916032
									I64Ne
									I32Or
									Get R11
									I64Const $1095216660480
									I64And
									I64Const $249108103168
									I64Ne
									I32Or
									If
										I64Const $-1
										I64Const $0
										Set R7
										Set R3
										Br $1
									End
									Get R9
									I64Const $4294967295
									I64And
									Get R9
									I64Const $8
									I64ShrU
									I64Const $281470681743360
									I64And
									I64Or
									Get R10
									I64Const $48
									I64Shl
									I64Or
									I64Const $3472328296227680304
									I64Xor
									Set R12
									Get R10
									I64Const $24
									I64ShrU
									I64Const $65535
									I64And
									Get R10
									I64Const $32
									I64ShrU
									I64Const $4294901760
									I64And
									I64Or
									Get R11
									I64Const $8
									I64ShrU
									I64Const $281470681743360
									I64And
									I64Or
									I64Const $13510798882111488
									I64Or
									I64Const $3458764513820540928
									I64Or
									I64Const $3472328296227680304
									I64Xor
									Set R10
									Get R12
									I64Const $8536140394893047414
									I64Add
									Get R12
									I64Or
									I64Const $-9187201950435737472
									I64And
									Get R10
									I64Const $8536140394893047414
									I64Add
									Get R10
									I64Or
									I64Const $-9187201950435737472
									I64And
									I64Or
									I64Const $0
									I64Ne
									If
										I64Const $-1
										I64Const $0
										Set R7
										Set R3
										Br $1
									End
									Get R12
									I64Const $10
									I64Mul
									Get R12
									I64Const $8
									I64ShrU
									I64Add
									I64Const $1095216660735
									I64And
									I64Const $4294967296000100
									I64Mul
									Get R12
									I64Const $10
									I64Mul
									Get R12
									I64Const $8
									I64ShrU
									I64Add
									I64Const $16
									I64ShrU
									I64Const $1095216660735
									I64And
									I64Const $42949672960001
									I64Mul
									I64Add
									I64Const $32
									I64ShrU
									Set R12
									Get R10
									I64Const $10
									I64Mul
									Get R10
									I64Const $8
									I64ShrU
									I64Add
									I64Const $1095216660735
									I64And
									I64Const $4294967296000100
									I64Mul
									Get R10
									I64Const $10
									I64Mul
									Get R10
									I64Const $8
									I64ShrU
									I64Add
									I64Const $16
									I64ShrU
									I64Const $1095216660735
									I64And
									I64Const $42949672960001
									I64Mul
									I64Add
									I64Const $32
									I64ShrU
									Set R10
									Get R12
									I64Const $100
									I64RemU
									Set R9
									Get R12
									I64Const $100
									I64DivU
									I64Const $100
									I64RemU
									Set R11
									Get R12
									I64Const $10000
									I64DivU
									Tee R12
									I64Const $1
									I64LtU
									Get R11
									I64Const $1
									I64LtU
									I32Or
									Get R11
									I64Const $12
									I64GtU
									I32Or
									Get R9
									I64Const $1
									I64LtU
									I32Or
									Get R10
									I64Const $24000000
									I64GeU
									I32Or
									Get R10
									I64Const $10000
									I64DivU
									I64Const $100
									I64RemU
									I64Const $59
									I64GtU
									I32Or
									Get R10
									I64Const $100
									I64DivU
									I64Const $100
									I64RemU
									I64Const $59
									I64GtU
									I32Or
									If
										I64Const $-1
										I64Const $0
										Set R7
										Set R3
										Br $1
									End
									Get R9
									I64Const $28
									I64GtU
									If
										I64Const $31
										Set R13
										Get R11
										I64Const $4
										I64Eq
										Get R11
										I64Const $6
										I64Eq
										I32Or
										Get R11
										I64Const $9
										I64Eq
										I32Or
										Get R11
										I64Const $11
										I64Eq
										I32Or
										If
											I64Const $30
											Set R13
										End
										Get R11
										I64Const $2
										I64Eq
										If
											I64Const $28
											Set R13
											Get R12
											I64Const $3
											I64And
											I64Eqz
											Get R12
											I64Const $100
											I64RemU
											I64Const $0
											I64Ne
											Get R12
											I64Const $400
											I64RemU
											I64Eqz
											I32Or
											I32And
											If
												I64Const $29
												Set R13
											End
										End
										Get R9
										Get R13
										I64GtU
										If
											I64Const $-1
											I64Const $0
											Set R7
											Set R3
											Br $2
										End
									End
									Get R11
									I64Const $2
									I64LeU
									If
										Get R12
										I64Const $1
										I64Sub
										Set R12
										Get R11
										I64Const $12
										I64Add
										Set R11
									End
									I64Const $365
									Get R12
									I64Mul
									Get R12
									I64Const $4
									I64DivU
									I64Add
									Get R12
									I64Const $100
									I64DivU
									I64Sub
									Get R12
									I64Const $400
									I64DivU
									I64Add
									I64Const $153
									Get R11
									I64Const $3
									I64Sub
									I64Mul
									I64Const $2
									I64Add
									I64Const $5
									I64DivU
									I64Add
									Get R9
									I64Add
									I64Const $719469
									I64Sub
									Tee R8
									I64Const $24
									I64Mul
									Get R10
									I64Const $1000000
									I64DivU
									I64Add
									I64Const $60
									I64Mul
									Get R10
									I64Const $10000
									I64DivU
									I64Const $100
									I64RemU
									I64Add
									I64Const $60000
									I64Mul
									Get R10
									I64Const $100
									I64DivU
									I64Const $100
									I64RemU
									I64Const $1000
									I64Mul
									I64Add
									Set R8
									Get R3
									I64Const $19
									I64Add
									Set R3
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load8U $0
									I64Const $46
									I64Eq
									If
										Get R3
										I64Const $1
										I64Add
										Set R3
										Get SP
										I64Load $112
										Set R11
										Block
											Get R1
											Get R3
											I64Add
											I32WrapI64
											I64Load $0
											I64Const $3472328296227680304
											I64Xor
											Tee R12
											I64Const $8536140394893047414
											I64Add
											Get R12
											I64Or
											I64Const $-9187201950435737472
											I64And
											Tee R13
											I64Const $0
											I64Ne
											If
												Get R13
												I64Ctz
												I64Const $56
												I64And
												Tee R13
												I64Eqz
												If
													I64Const $0
													I64Const $0
													Set R10
													Set R9
													Br $2
												End
												Get R12
												I64Const $64
												Get R13
												I64Sub
												I64Shl
												Tee R12
												I64Const $10
												I64Mul
												Get R12
												I64Const $8
												I64ShrU
												I64Add
												I64Const $1095216660735
												I64And
												I64Const $4294967296000100
												I64Mul
												Get R12
												I64Const $10
												I64Mul
												Get R12
												I64Const $8
												I64ShrU
												I64Add
												I64Const $16
												I64ShrU
												I64Const $1095216660735
												I64And
												I64Const $42949672960001
												I64Mul
												I64Add
												I64Const $32
												I64ShrU
												Get R13
												I64Const $3
												I64ShrU
												Set R10
												Set R9
												Br $1
											End
											Get R12
											I64Const $10
											I64Mul
											Get R12
											I64Const $8
											I64ShrU
											I64Add
											I64Const $1095216660735
											I64And
											I64Const $4294967296000100
											I64Mul
											Get R12
											I64Const $10
											I64Mul
											Get R12
											I64Const $8
											I64ShrU
											I64Add
											I64Const $16
											I64ShrU
											I64Const $1095216660735
											I64And
											I64Const $42949672960001
											I64Mul
											I64Add
											I64Const $32
											I64ShrU
											Set R14
											Get R1
											Get R3
											I64Add
											I32WrapI64
											I64Load $8
											I64Const $3472328296227680304
											I64Xor
											Tee R12
											I64Const $8536140394893047414
											I64Add
											Get R12
											I64Or
											I64Const $-9187201950435737472
											I64And
											Tee R13
											I64Const $0
											I64Ne
											If
												Get R13
												I64Ctz
												I64Const $56
												I64And
												Tee R13
												I64Eqz
												If
													Get R14
													I64Const $8
													Set R10
													Set R9
													Br $2
												End
												Get R12
												I64Const $64
												Get R13
												I64Sub
												I64Shl
												Set R12
												Get R14
												Get R11
												Get R13
												I64Add
												I32WrapI64
												I64Load $0
												I64Mul
												Get R12
												I64Const $10
												I64Mul
												Get R12
												I64Const $8
												I64ShrU
												I64Add
												I64Const $1095216660735
												I64And
												I64Const $4294967296000100
												I64Mul
												Get R12
												I64Const $10
												I64Mul
												Get R12
												I64Const $8
												I64ShrU
												I64Add
												I64Const $16
												I64ShrU
												I64Const $1095216660735
												I64And
												I64Const $42949672960001
												I64Mul
												I64Add
												I64Const $32
												I64ShrU
												I64Add
												I64Const $8
												Get R13
												I64Const $3
												I64ShrU
												I64Add
												Set R10
												Set R9
												Br $1
											End
											Get R14
											I64Const $100000000
											I64Mul
											Get R12
											I64Const $10
											I64Mul
											Get R12
											I64Const $8
											I64ShrU
											I64Add
											I64Const $1095216660735
											I64And
											I64Const $4294967296000100
											I64Mul
											Get R12
											I64Const $10
											I64Mul
											Get R12
											I64Const $8
											I64ShrU
											I64Add
											I64Const $16
											I64ShrU
											I64Const $1095216660735
											I64And
											I64Const $42949672960001
											I64Mul
											I64Add
											I64Const $32
											I64ShrU
											I64Add
											Set R14
											I64Const $16
											Set R13
											Block
												Loop
													Get R13
													I64Const $19
													I64LtU
													I32Eqz
													BrIf $1
													Block
														Get R1
														Get R3
														Get R13
														I64Add
														I64Add
														I32WrapI64
														I64Load8U $0
														I64Const $48
														I64Sub
														Tee R12
														I64Const $9
														I64GtU
														If
															Get R14
															Get R13
															Set R10
															Set R9
															Br $4
														End
														Get R13
														I64Const $18
														I64LtU
														If
															Get R14
															I64Const $10
															I64Mul
															Get R12
															I64Add
															Set R14
														End
													End
													Get R13
													I64Const $1
													I64Add
													Set R13
													Br $0
												End
											End
											Get R14
											I64Const $19
											Set R10
											Set R9
											Br $0
										End
										Get R10
										I64Eqz
										Get R10
										I64Const $9
										I64GtS
										I32Or
										If
											I64Const $-1
											I64Const $0
											Set R7
											Set R3
											Br $2
										End
										Get R3
										Get R10
										I64Add
										Set R3
										Get R10
										I64Const $3
										I64GeS
										If
											Get R9
											Get SP
											I64Load $112
											Get R10
											I64Const $8
											I64Mul
											I64Const $24
											I64Sub
											I64Add
											I32WrapI64
											I64Load $0
											I64DivU
											Set R9
										Else
											Get R9
											Get SP
											I64Load $112
											I64Const $24
											Get R10
											I64Const $8
											I64Mul
											I64Sub
											I64Add
											I32WrapI64
											I64Load $0
											I64Mul
											Set R9
										End
										Get R8
										Get R9
										I64Add
										Set R8
									End
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load8U $0
									I64Const $90
									I64Eq
									If
										Get R3
										I64Const $1
										I64Add
										Set R3
									End
									Get R3
									Get R8
									Set R7
									Set R3
									Br $0
								End
								Get R3
								I64Const $0
								I64LtS
								If
									I64Const $-1
									I64Const $2
									Set R5
									Set R3
									Br $2
								End
								Block
									Get R7
									I64Const $1
									I64Shl
									Get R7
									I64Const $63
									I64ShrS
									I64Xor
									Tee R8
									I64Const $128
									I64LtU
									If
										Get R2
										Get R5
										I64Add
										I32WrapI64
										Get R8
										I64Store $0
										Get R5
										I64Const $1
										I64Add
										Set R5
										Br $1
									End
									Get R8
									I64Const $72057594037927936
									I64GeU
									If
										Block
											Loop
												Get R8
												I64Const $128
												I64GeU
												I32Eqz
												BrIf $1
												Get R2
												Get R5
												I64Add
												I32WrapI64
												Get R8
												I64Const $127
												I64And
												I64Const $128
												I64Or
												I64Store $0
												Get R8
												I64Const $7
												I64ShrU
												Set R8
												Get R5
												I64Const $1
												I64Add
												Set R5
												Br $0
											End
										End
										Get R2
										Get R5
										I64Add
										I32WrapI64
										Get R8
										I64Store $0
										Get R5
										I64Const $1
										I64Add
										Set R5
										Br $1
									End
									I64Const $64
									Get R8
									I64Clz
									I64Sub
									I64Const $6
									I64Add
									I64Const $37
									I64Mul
									I64Const $8
									I64ShrS
									Set R9
									Get R8
									I64Const $268435455
									I64And
									Get R8
									I64Const $72057593769492480
									I64And
									I64Const $4
									I64Shl
									I64Or
									Tee R8
									I64Const $70364449226751
									I64And
									Get R8
									I64Const $1152851136131088384
									I64And
									I64Const $2
									I64Shl
									I64Or
									Tee R8
									I64Const $35747867511423103
									I64And
									Get R8
									I64Const $4575727041462157184
									I64And
									I64Const $1
									I64Shl
									I64Or
									Set R8
									Get R2
									Get R5
									I64Add
									I32WrapI64
									Get R8
									I64Const $-9187201950435737472
									I64Const $1
									I64Const $8
									Get R9
									I64Mul
									I64Const $8
									I64Sub
									I64Shl
									I64Const $1
									I64Sub
									I64And
									I64Or
									I64Store $0
									Get R5
									Get R9
									I64Add
									Set R5
									Br $0
								End
								Get R3
								Get R5
								Set R5
								Set R3
								Br $1
							End
							Get R6
							I64Const $7
							I64Eq
							If
								Block
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $0
									Set R8
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $8
									Set R9
									Get R8
									I64Const $-72056498821201921
									I64And
									I64Const $5548435050158117968
									I64Ne
									Get R9
									I64Const $16711680
									I64And
									I64Const $5439488
									I64Ne
									I32Or
									If
										I64Const $-1
										Set R7
										Br $1
									End
									Get R8
									I64Const $16
									I64ShrU
									I64Const $65535
									I64And
									Get R8
									I64Const $24
									I64ShrU
									I64Const $4294901760
									I64And
									I64Or
									Get R9
									I64Const $65535
									I64And
									I64Const $32
									I64Shl
									I64Or
									I64Const $13510798882111488
									I64Or
									I64Const $3458764513820540928
									I64Or
									I64Const $3472328296227680304
									I64Xor
									Tee R8
									I64Const $8536140394893047414
									I64Add
									Get R8
									I64Or
									I64Const $-9187201950435737472
									I64And
									I64Const $0
									I64Ne
									If
										I64Const $-1
										Set R7
										Br $1
									End
									Get R8
									I64Const $10
									I64Mul
									Get R8
									I64Const $8
									I64ShrU
									I64Add
									I64Const $1095216660735
									I64And
									I64Const $4294967296000100
									I64Mul
									Get R8
									I64Const $10
									I64Mul
									Get R8
									I64Const $8
									I64ShrU
									I64Add
									I64Const $16
									I64ShrU
									I64Const $1095216660735
									I64And
									I64Const $42949672960001
									I64Mul
									I64Add
									I64Const $32
									I64ShrU
									Tee R8
									I64Const $1000000
									I64DivU
									I64Const $3600000
									I64Mul
									Get R8
									I64Const $10000
									I64DivU
									I64Const $100
									I64RemU
									I64Const $60000
									I64Mul
									I64Add
									Get R8
									I64Const $100
									I64DivU
									I64Const $100
									I64RemU
									I64Const $1000
									I64Mul
									I64Add
									Tee R9
									I64Const $86400000
									I64GeU
									If
										I64Const $-1
										Set R7
										Br $1
									End
									Get R9
									Set R7
									Br $0
								End
								Get R7
								I64Const $0
								I64LtS
								If
									I64Const $-1
									I64Const $2
									Set R5
									Set R3
									Br $2
								End
								Block
									Get R7
									I64Const $1
									I64Shl
									Get R7
									I64Const $63
									I64ShrS
									I64Xor
									Tee R8
									I64Const $128
									I64LtU
									If
										Get R2
										Get R5
										I64Add
										I32WrapI64
										Get R8
										I64Store $0
										Get R5
										I64Const $1
										I64Add
										Set R5
										Br $1
									End
									Get R8
									I64Const $72057594037927936
									I64GeU
									If
										Block
											Loop
												Get R8
												I64Const $128
												I64GeU
												I32Eqz
												BrIf $1
												Get R2
												Get R5
												I64Add
												I32WrapI64
												Get R8
												I64Const $127
												I64And
												I64Const $128
												I64Or
												I64Store $0
												Get R8
												I64Const $7
												I64ShrU
												Set R8
												Get R5
												I64Const $1
												I64Add
												Set R5
												Br $0
											End
										End
										Get R2
										Get R5
										I64Add
										I32WrapI64
										Get R8
										I64Store $0
										Get R5
										I64Const $1
										I64Add
										Set R5
										Br $1
									End
									I64Const $64
									Get R8
									I64Clz
									I64Sub
									I64Const $6
									I64Add
									I64Const $37
									I64Mul
									I64Const $8
									I64ShrS
									Set R9
									Get R8
									I64Const $268435455
									I64And
									Get R8
									I64Const $72057593769492480
									I64And
									I64Const $4
									I64Shl
									I64Or
									Tee R8
									I64Const $70364449226751
									I64And
									Get R8
									I64Const $1152851136131088384
									I64And
									I64Const $2
									I64Shl
									I64Or
									Tee R8
									I64Const $35747867511423103
									I64And
									Get R8
									I64Const $4575727041462157184
									I64And
									I64Const $1
									I64Shl
									I64Or
									Set R8
									Get R2
									Get R5
									I64Add
									I32WrapI64
									Get R8
									I64Const $-9187201950435737472
									I64Const $1
									I64Const $8
									Get R9
									I64Mul
									I64Const $8
									I64Sub
									I64Shl
									I64Const $1
									I64Sub
									I64And
									I64Or
									I64Store $0
									Get R5
									Get R9
									I64Add
									Set R5
									Br $0
								End
								Get R3
								I64Const $11
								I64Add
								Get R5
								Set R5
								Set R3
								Br $1
							End
							Get R6
							I64Const $8
							I64Eq
							If
								Get R1
								Get R3
								I64Add
								I32WrapI64
								I64Load8U $8
								I64Const $45
								I64Xor
								Get R1
								Get R3
								I64Add
								I32WrapI64
								I64Load8U $13
								I64Const $45
								I64Xor
								I64Or
								Get R1
								Get R3
								I64Add
								I32WrapI64
								I64Load8U $18
								I64Const $45
								I64Xor
								I64Or
								Get R1
								Get R3
								I64Add
								I32WrapI64
								I64Load8U $23
								I64Const $45
								I64Xor
								I64Or
								Get R1
								Get R3
								I64Add
								I32WrapI64
								I64Load $0
								Tee R7
								I64Const $-9187201950435737472
								I64Const $-1
								I64Xor
								I64And
								I64Const $5787213827046133840
								I64Add
								Get R7
								I64Const $-9187201950435737472
								I64Const $-1
								I64Xor
								I64And
								I64Const $5063812098665367110
								I64Add
								I64Const $-1
								I64Xor
								I64And
								Get R7
								I64Const $-9187201950435737472
								I64Const $-1
								I64Xor
								I64And
								I64Const $2314885530818453536
								I64Or
								I64Const $2242545357980376863
								I64Add
								Get R7
								I64Const $-9187201950435737472
								I64Const $-1
								I64Xor
								I64And
								I64Const $2314885530818453536
								I64Or
								I64Const $1808504320951916825
								I64Add
								I64Const $-1
								I64Xor
								I64And
								I64Or
								Get R7
								I64Const $-1
								I64Xor
								I64And
								I64Const $-9187201950435737472
								I64And
								Get R1
								Get R3
								I64Add
								I32WrapI64
								I64Load $9
								I64Const $4294967295
								I64And
								Get R1
								Get R3
								I64Add
								I32WrapI64
								I64Load $14
								I64Const $32
								I64Shl
								I64Or
								Tee R7
								I64Const $-9187201950435737472
								I64Const $-1
								I64Xor
								I64And
								I64Const $5787213827046133840
								I64Add
								Get R7
								I64Const $-9187201950435737472
								I64Const $-1
								I64Xor
								I64And
								I64Const $5063812098665367110
								I64Add
								I64Const $-1
								I64Xor
								I64And
								Get R7
								I64Const $-9187201950435737472
								I64Const $-1
								I64Xor
								I64And
								I64Const $2314885530818453536
								I64Or
								I64Const $2242545357980376863
								I64Add
								Get R7
								I64Const $-9187201950435737472
								I64Const $-1
								I64Xor
								I64And
								I64Const $2314885530818453536
								I64Or
								I64Const $1808504320951916825
								I64Add
								I64Const $-1
								I64Xor
								I64And
								I64Or
								Get R7
								I64Const $-1
								I64Xor
								I64And
								I64Const $-9187201950435737472
								I64And
								I64And
								Get R1
								Get R3
								I64Add
								I32WrapI64
								I64Load $19
								I64Const $4294967295
								I64And
								Get R1
								Get R3
								I64Add
								I32WrapI64
								I64Load $24
								I64Const $32
								I64Shl
								I64Or
								Tee R7
								I64Const $-9187201950435737472
								I64Const $-1
								I64Xor
								I64And
								I64Const $5787213827046133840
								I64Add
								Get R7
								I64Const $-9187201950435737472
								I64Const $-1
								I64Xor
								I64And
								I64Const $5063812098665367110
								I64Add
								I64Const $-1
								I64Xor
								I64And
								Get R7
								I64Const $-9187201950435737472
								I64Const $-1
								I64Xor
								I64And
								I64Const $2314885530818453536
								I64Or
								I64Const $2242545357980376863
								I64Add
								Get R7
								I64Const $-9187201950435737472
								I64Const $-1
								I64Xor
								I64And
								I64Const $2314885530818453536
								I64Or
								I64Const $1808504320951916825
								I64Add
								I64Const $-1
								I64Xor
								I64And
								I64Or
								Get R7
								I64Const $-1
								I64Xor
								I64And
								I64Const $-9187201950435737472
								I64And
								I64And
								Get R1
								Get R3
								I64Add
								I32WrapI64
								I64Load $28
								Tee R7
								I64Const $-9187201950435737472
								I64Const $-1
								I64Xor
								I64And
								I64Const $5787213827046133840
								I64Add
								Get R7
								I64Const $-9187201950435737472
								I64Const $-1
								I64Xor
								I64And
								I64Const $5063812098665367110
								I64Add
								I64Const $-1
								I64Xor
								I64And
								Get R7
								I64Const $-9187201950435737472
								I64Const $-1
								I64Xor
								I64And
								I64Const $2314885530818453536
								I64Or
								I64Const $2242545357980376863
								I64Add
								Get R7
								I64Const $-9187201950435737472
								I64Const $-1
								I64Xor
								I64And
								I64Const $2314885530818453536
								I64Or
								I64Const $1808504320951916825
								I64Add
								I64Const $-1
								I64Xor
								I64And
								I64Or
								Get R7
								I64Const $-1
								I64Xor
								I64And
								I64Const $-9187201950435737472
								I64And
								I64And
								I64Const $-9187201950435737472
								I64Xor
								I64Or
								I64Const $0
								I64Ne
								If
									I64Const $-1
									I64Const $2
									Set R5
									Set R3
									Br $2
								End
								Get R3
								I64Const $36
								I64Add
								Block
									Get R2
									Get R5
									I64Add
									I32WrapI64
									I64Const $72
									I64Store8 $0
									Get R2
									Get R5
									I64Add
									I32WrapI64
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $0
									I64Store $1
									Get R2
									Get R5
									I64Add
									I32WrapI64
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $8
									I64Store $9
									Get R2
									Get R5
									I64Add
									I32WrapI64
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $16
									I64Store $17
									Get R2
									Get R5
									I64Add
									I32WrapI64
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $24
									I64Store $25
									Get R2
									Get R5
									I64Add
									I32WrapI64
									Get R1
									Get R3
									I64Add
									I32WrapI64
									I64Load $32
									I64Store $33
									Get R5
									I64Const $37
									I64Add
									Set R7
									Br $0
								End
								Get R7
								Set R5
								Set R3
								Br $1
							End
							Get R1
							Get R3
							I64Add
							I32WrapI64
							I64Load $0
							Tee R7
							I64Const $4294967295
							I64And
							I64Const $1702195828
							I64Eq
							If
								Get R2
								Get R5
								I64Add
								I32WrapI64
								I64Const $1
								I64Store8 $0
								Get R3
								I64Const $4
								I64Add
								Get R5
								I64Const $1
								I64Add
								Set R5
								Set R3
								Br $1
							End
							Get R6
							I64Const $9
							I64Eq
							Get R7
							I64Const $1099511627775
							I64And
							I64Const $435728179558
							I64Ne
							I32Or
							If
								I64Const $-1
								I64Const $2
								Set R5
								Set R3
								Br $1
							End
							Get R2
							Get R5
							I64Add
							I32WrapI64
							I64Const $0
							I64Store8 $0
							Get R3
							I64Const $5
							I64Add
							Get R5
							I64Const $1
							I64Add
							Set R5
							Set R3
							Br $0
						End
					End
					Get R3
					I64Const $0
					I64GeS
					Get PC_B
					I64Load $600
					I64Const $0
					I64Ne
					I32And
					Get R1
					Get R3
					I64Add
					I32WrapI64
					I64Load8U $0
					I64Const $44
					I64Ne
					I32And
					Get R1
					Get R3
					I64Add
					I32WrapI64
					I64Load8U $0
					I64Const $125
					I64Ne
					I32And
					If
						I64Const $-1
						I64Const $2
						Set R4
						Set R3
						Br $2
					End
				End
				Get R3
				Get R5
				Set R4
				Set R3
				Br $0
			End
			Get R3
			I64Const $0
			I64GeS
			If
				Block
					Get PC_B
					I64Load $632
					Drop
					Block
						Get R1
						Get R3
						I64Add
						I32WrapI64
						I64Load $0
						Get PC_B
						I64Load $256
						I64Xor
						Get PC_B
						I64Load $264
						I64And
						I64Const $-1
						I64And
						Get R1
						Get R3
						I64Add
						I32WrapI64
						I64Load $8
						Get PC_B
						I64Load $272
						I64Xor
						Get PC_B
						I64Load $280
						I64And
						I64Or
						Get R1
						Get R3
						I64Add
						I32WrapI64
						I64Load $16
						Get PC_B
						I64Load $288
						I64Xor
						Get PC_B
						I64Load $296
						I64And
						I64Or
						Get PC_B
						I64Load $240
						I64Or
						Tee R6
						I64Eqz
						Get PC_B
						I64Load $248
						I64Const $24
						I64GtS
						I32And
						If
							Get R1
							Get R3
							I64Add
							I32WrapI64
							I64Load $24
							Get PC_B
							I64Load $304
							I64Xor
							Get PC_B
							I64Load $312
							I64And
							Get R1
							Get R3
							I64Add
							I32WrapI64
							I64Load $32
							Get PC_B
							I64Load $320
							I64Xor
							Get PC_B
							I64Load $328
							I64And
							I64Or
							Get R1
							Get R3
							I64Add
							I32WrapI64
							I64Load $40
							Get PC_B
							I64Load $336
							I64Xor
							Get PC_B
							I64Load $344
							I64And
							I64Or
							Get R1
							Get R3
							I64Add
							I32WrapI64
							I64Load $48
							Get PC_B
							I64Load $352
							I64Xor
							Get PC_B
							I64Load $360
							I64And
							I64Or
							Get R1
							Get R3
							I64Add
							I32WrapI64
							I64Load $56
							Get PC_B
							I64Load $368
							I64Xor
							Get PC_B
							I64Load $376
							I64And
							I64Or
							Get R1
							Get R3
							I64Add
							I32WrapI64
							I64Load $64
							Get PC_B
							I64Load $384
							I64Xor
							Get PC_B
							I64Load $392
							I64And
							I64Or
							Get R1
							Get R3
							I64Add
							I32WrapI64
							I64Load $72
							Get PC_B
							I64Load $400
							I64Xor
							Get PC_B
							I64Load $408
							I64And
							I64Or
							Set R6
						End
						Get R6
						Set R5
						Br $0
					End
					Get R5
					I64Const $0
					I64Ne
					If
						I64Const $-1
						Set R3
						Br $1
					End
					Get R3
					Get PC_B
					I64Load $248
					I64Add
					Set R3
					Br $0
				End
				Get R3
				I64Const $0
				I64LtS
				If
					I64Const $2
					Set R5
					Get R0
					I32WrapI64
					Set SP
					Get SP
					Get R5
					I64Store ret+8(FP)
					RET
				End
			Else
				Get PC_B
				I64Load $600
				I64Eqz
				If
					Get R4
					Set R5
					Get R0
					I32WrapI64
					Set SP
					Get SP
					Get R5
					I64Store ret+8(FP)
					RET
				End
				Block
					Get SP
					I64Load $16
					Get PC_B
					I64Load $424
					I64Sub
					Set R5
					Block
						Get R1
						Get R5
						I64Add
						I32WrapI64
						I64Load $0
						Get PC_B
						I64Load $40
						I64Xor
						Get PC_B
						I64Load $48
						I64And
						I64Const $-256
						I64And
						Get R1
						Get R5
						I64Add
						I32WrapI64
						I64Load $8
						Get PC_B
						I64Load $56
						I64Xor
						Get PC_B
						I64Load $64
						I64And
						I64Or
						Get R1
						Get R5
						I64Add
						I32WrapI64
						I64Load $16
						Get PC_B
						I64Load $72
						I64Xor
						Get PC_B
						I64Load $80
						I64And
						I64Or
						Get PC_B
						I64Load $24
						I64Or
						Tee R7
						I64Eqz
						Get PC_B
						I64Load $32
						I64Const $24
						I64GtS
						I32And
						If
							Get R1
							Get R5
							I64Add
							I32WrapI64
							I64Load $24
							Get PC_B
							I64Load $88
							I64Xor
							Get PC_B
							I64Load $96
							I64And
							Get R1
							Get R5
							I64Add
							I32WrapI64
							I64Load $32
							Get PC_B
							I64Load $104
							I64Xor
							Get PC_B
							I64Load $112
							I64And
							I64Or
							Get R1
							Get R5
							I64Add
							I32WrapI64
							I64Load $40
							Get PC_B
							I64Load $120
							I64Xor
							Get PC_B
							I64Load $128
							I64And
							I64Or
							Get R1
							Get R5
							I64Add
							I32WrapI64
							I64Load $48
							Get PC_B
							I64Load $136
							I64Xor
							Get PC_B
							I64Load $144
							I64And
							I64Or
							Get R1
							Get R5
							I64Add
							I32WrapI64
							I64Load $56
							Get PC_B
							I64Load $152
							I64Xor
							Get PC_B
							I64Load $160
							I64And
							I64Or
							Get R1
							Get R5
							I64Add
							I32WrapI64
							I64Load $64
							Get PC_B
							I64Load $168
							I64Xor
							Get PC_B
							I64Load $176
							I64And
							I64Or
							Get R1
							Get R5
							I64Add
							I32WrapI64
							I64Load $72
							Get PC_B
							I64Load $184
							I64Xor
							Get PC_B
							I64Load $192
							I64And
							I64Or
							Set R7
						End
						Get R7
						Set R6
						Br $0
					End
					Get R6
					I64Const $0
					I64Ne
					If
						Get R5
						I64Const $-1
						Set R4
						Set R3
						Br $1
					End
					Get R5
					Get PC_B
					I64Load $32
					I64Add
					Get SP
					I64Load $24
					Set R7
					Block
						Get PC_B
						I64Load $200
						I64Const $0
						I64Ne
						If
							Get R2
							Get R7
							I64Add
							I32WrapI64
							I64Const $2
							I64Store8 $0
							Get R7
							Get PC_B
							I64Load $624
							I64Add
							Set R7
						Else
							Get PC_B
							I64Load $624
							I64Eqz
							If
								I64Const $-1
								Set R6
								Br $2
							End
						End
						Get R2
						Get R7
						I64Add
						I32WrapI64
						I64Const $0
						I64Store8 $0
						Get R7
						I64Const $1
						I64Add
						Set R6
						Br $0
					End
					Get R6
					Set R4
					Set R3
					Br $0
				End
				Get R4
				I64Const $0
				I64LtS
				If
					I64Const $2
					Set R5
					Get R0
					I32WrapI64
					Set SP
					Get SP
					Get R5
					I64Store ret+8(FP)
					RET
				End
			End
			Get PC_B
			I64Load $616
			Set R5
			Get SP
			I64Load $24
			Set R6
			Block
				Get SP
				I64Load $264
				Drop
				Get SP
				I64Load $80
				Get R5
				I64Const $16
				I64Mul
				I64Add
				I32WrapI64
				Get R6
				I64Store $0
				Get SP
				I64Load $80
				Get R5
				I64Const $16
				I64Mul
				I64Add
				I32WrapI64
				Get R4
				I64Store $8
				Get SP
				I64Load $88
				Get R5
				I64Const $8
				I64Mul
				I64Add
				I32WrapI64
				Get SP
				I64Load $96
				I64Store $0
				Get R5
				Get SP
				I64Load $64
				I64GeS
				If
					Get SP
					Get R5
					I64Const $1
					I64Add
					I64Store $64
				End
			End
			Get SP
			Get PC_B
			I64ExtendI32U
			I64Store $40
			Get PC_B
			I64Load $592
			I32WrapI64
			Set PC_B
			Br $0
		End
	End
	Unreachable
	RET

TEXT ·Sort(SB), NOSPLIT, $0-32
	I64Load s+0(FP)
	I32WrapI64
	Set PC_B
	I64Load start+8(FP)
	Set R0
	I64Load columns+16(FP)
	Set R1
	Get PC_B
	I64Load $8
	Set R2
	Get PC_B
	I64Load $24
	Tee R3
	Get R0
	I64Sub
	Set R4
	Get PC_B
	I64Load $80
	Set R5
	Get PC_B
	I64Load $88
	Set R6
	Get PC_B
	I64Load $96
	Set R7
	I64Const $0
	Set R8
	Block
		Loop
			Get R8
			Get R1
			I64LtS
			I32Eqz
			BrIf $1
			Get R6
			Get R8
			I64Const $8
			I64Mul
			I64Add
			I32WrapI64
			I64Load $0
			Get R7
			I64Ne
			If
				Get PC_B
				I64Load $104
				Get R8
				I64Const $8
				I64Mul
				I64Add
				I32WrapI64
				I64Load $0
				I64Eqz
				If
					Get SP
					I64Const $-1
					I64Store ret+24(FP)
					RET
				End
				Get R2
				Get R3
				I64Add
				I32WrapI64
				I64Const $0
				I64Store $0
				Get R5
				Get R8
				I64Const $16
				I64Mul
				I64Add
				I32WrapI64
				Get R3
				Get R4
				I64Sub
				I64Store $0
				Get R3
				I64Const $1
				I64Add
				Set R3
				Get R5
				Get R8
				I64Const $16
				I64Mul
				I64Add
				I32WrapI64
				Get R3
				Get R4
				I64Sub
				I64Store $8
				Get R8
				I64Const $1
				I64Add
				Set R8
				Br $1
			End
			Get R5
			Get R8
			I64Const $16
			I64Mul
			I64Add
			I32WrapI64
			I64Load $0
			Tee R9
			Set R10
			Get R3
			Get R4
			I64Sub
			Get R9
			I64Sub
			Set R11
			Block
				Loop
					Get R5
					Get R8
					I64Const $16
					I64Mul
					I64Add
					I32WrapI64
					Get R10
					Get R11
					I64Add
					I64Store $0
					Get R5
					Get R8
					I64Const $16
					I64Mul
					I64Add
					I32WrapI64
					I64Load $8
					Set R10
					Get R5
					Get R8
					I64Const $16
					I64Mul
					I64Add
					I32WrapI64
					Get R10
					Get R11
					I64Add
					I64Store $8
					Get R8
					I64Const $1
					I64Add
					Tee R8
					Get R1
					I64Eq
					If
						Br $2
					End
					Get R6
					Get R8
					I64Const $8
					I64Mul
					I64Add
					I32WrapI64
					I64Load $0
					Get R7
					I64Ne
					Get R5
					Get R8
					I64Const $16
					I64Mul
					I64Add
					I32WrapI64
					I64Load $0
					Get R10
					I64Ne
					I32Or
					If
						Br $2
					End
					Br $0
				End
			End
			Get R2
			Get R3
			I64Add
			I32WrapI64
			Get R2
			Get R9
			I64Add
			I32WrapI64
			Get R10
			Get R9
			I64Sub
			I32WrapI64
			MemoryCopy
			Get R3
			Get R10
			Get R9
			I64Sub
			I64Add
			Set R3
			Br $0
		End
	End
	Get R2
	Get R0
	I64Add
	I32WrapI64
	Get R2
	Get PC_B
	I64Load $24
	I64Add
	I32WrapI64
	Get R3
	Get PC_B
	I64Load $24
	I64Sub
	I32WrapI64
	MemoryCopy
	Get SP
	Get R3
	Get R4
	I64Sub
	I64Store ret+24(FP)
	RET
	Unreachable
	RET

TEXT ·Match(SB), NOSPLIT, $0-24
	I64Load program+8(FP)
	Set R1
	Get SP
	I64ExtendI32U
	Set R0
	I64Load src+0(FP)
	I32WrapI64
	Set SP
	Get R1
	I32WrapI64
	Set PC_B
	Get SP
	I64ExtendI32U
	Set R2
	Block
		Loop
			Get PC_B
			I64Load $0
			Tee R3
			I64Const $16777215
			I64And
			Set R4
			Block
				Loop
					Get R4
					I64Const $4
					I64GeU
					I32Eqz
					BrIf $1
					Get SP
					I64Load $24
					Get PC_B
					I64Load $32
					I64Xor
					Get SP
					I64Load $16
					Get PC_B
					I64Load $24
					I64Xor
					I64Or
					Get SP
					I64Load $8
					Get PC_B
					I64Load $16
					I64Xor
					I64Or
					Get SP
					I64Load $0
					Get PC_B
					I64Load $8
					I64Xor
					I64Or
					I64Const $0
					I64Ne
					If
						Get R2
						Get SP
						I64ExtendI32U
						I64Sub
						Set R5
						Get R0
						I32WrapI64
						Set SP
						Get SP
						Get R5
						I64Store ret+16(FP)
						RET
					End
					Get SP
					I64ExtendI32U
					I64Const $32
					I64Add
					I32WrapI64
					Set SP
					Get PC_B
					I64ExtendI32U
					I64Const $32
					I64Add
					I32WrapI64
					Set PC_B
					Get R4
					I64Const $4
					I64Sub
					Set R4
					Br $0
				End
			End
			Block
				Loop
					Get R4
					I64Const $0
					I64Ne
					I32Eqz
					BrIf $1
					Get PC_B
					I64ExtendI32U
					I64Const $8
					I64Add
					I32WrapI64
					Set PC_B
					Get SP
					I64Load $0
					Get PC_B
					I64Load $0
					I64Ne
					If
						Get R2
						Get SP
						I64ExtendI32U
						I64Sub
						Set R5
						Get R0
						I32WrapI64
						Set SP
						Get SP
						Get R5
						I64Store ret+16(FP)
						RET
					End
					Get SP
					I64ExtendI32U
					I64Const $8
					I64Add
					I32WrapI64
					Set SP
					Get R4
					I64Const $1
					I64Sub
					Set R4
					Br $0
				End
			End
			Get PC_B
			I64Load $16
			Get SP
			I64Load $0
			Get PC_B
			I64Load $8
			I64Xor
			I64And
			I64Const $0
			I64Ne
			If
				Get R2
				Get SP
				I64ExtendI32U
				I64Sub
				Set R5
				Get R0
				I32WrapI64
				Set SP
				Get SP
				Get R5
				I64Store ret+16(FP)
				RET
			End
			Get SP
			I64ExtendI32U
			Get R3
			I64Const $32
			I64ShrU
			I64Const $255
			I64And
			I64Add
			I32WrapI64
			Set SP
			Get R3
			I64Const $63
			I64ShrU
			I64Const $0
			I64Ne
			If
				Get SP
				I64ExtendI32U
				Get R2
				I64Sub
				Set R5
				Get R0
				I32WrapI64
				Set SP
				Get SP
				Get R5
				I64Store ret+16(FP)
				RET
			End
			Get PC_B
			I64Load $40
			Set R5
			Get PC_B
			I64Load $32
			Set R6
			Get PC_B
			I64Load $24
			Set R7
			Block
				Loop
					Get SP
					I64Load $8
					Set R8
					Get SP
					I64Load $0
					Tee R9
					Get R7
					I64Xor
					Get R6
					I64Sub
					Get R9
					Get R5
					I64Xor
					I64Const $72340172838076673
					I64Sub
					I64Or
					Get R9
					I64Const $-1
					I64Xor
					I64And
					I64Const $-9187201950435737472
					I64And
					Tee R9
					I64Const $0
					I64Ne
					If
						Get SP
						I64ExtendI32U
						Get R9
						I64Ctz
						I64Const $3
						I64ShrS
						I64Add
						I32WrapI64
						Set SP
						Br $2
					End
					Get R8
					Get R7
					I64Xor
					Get R6
					I64Sub
					Get R8
					Get R5
					I64Xor
					I64Const $72340172838076673
					I64Sub
					I64Or
					Get R8
					I64Const $-1
					I64Xor
					I64And
					I64Const $-9187201950435737472
					I64And
					Tee R9
					I64Const $0
					I64Ne
					If
						Get SP
						I64ExtendI32U
						I64Const $8
						Get R9
						I64Ctz
						I64Const $3
						I64ShrS
						I64Add
						I64Add
						I32WrapI64
						Set SP
						Br $2
					End
					Get SP
					I64ExtendI32U
					I64Const $16
					I64Add
					I32WrapI64
					Set SP
					Br $0
				End
			End
			Get PC_B
			I64ExtendI32U
			I64Const $48
			I64Add
			I32WrapI64
			Set PC_B
			Br $0
		End
	End
	Unreachable
	RET
