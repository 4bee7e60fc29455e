// Made by plugins/assembler from kernel.go. DO NOT EDIT.

#include "textflag.h"

TEXT ·Pass(SB), NOSPLIT, $0-16
	I64Load s+0(FP)
	Set R1
	Get SP
	I64ExtendI32U
	Set R0
	Get R1
	I32WrapI64
	I64Load $0
	Get R1
	I32WrapI64
	I64Load $16
	I64Const $80
	I64Mul
	I64Add
	I32WrapI64
	Set PC_B
	Get R1
	I32WrapI64
	I64Load $8
	Get R1
	I32WrapI64
	I64Load $40
	I64Const $80
	I64Mul
	I64Add
	I32WrapI64
	Set SP
	Get R1
	I32WrapI64
	I64Load $16
	Set R2
	Get R1
	I32WrapI64
	I64Load $24
	Set R3
	Get R3
	Get R1
	I32WrapI64
	I64Load $16
	I64Sub
	Get R1
	I32WrapI64
	I64Load $48
	Get R1
	I32WrapI64
	I64Load $40
	I64Sub
	I64GtS
	If
		Get R1
		I32WrapI64
		I64Load $16
		Get R1
		I32WrapI64
		I64Load $48
		I64Add
		Get R1
		I32WrapI64
		I64Load $40
		I64Sub
		Set R3
	End
	Get R1
	I32WrapI64
	I64Load $16
	Set R4
	Get R1
	I32WrapI64
	I64Load $104
	Set R5
	Get R1
	I32WrapI64
	I64Load $120
	Set R6
	Get R1
	I32WrapI64
	I64Load $128
	Set R7
	Get R1
	I32WrapI64
	I64Load $136
	Set R8
	Get R1
	I32WrapI64
	I64Load $144
	Set R9
	Get R1
	I32WrapI64
	I64Load $32
	Get R4
	I64Add
	Get R1
	I32WrapI64
	I64Load $112
	I64Const $32
	I64Shl
	I64Or
	Set R10
	Get R1
	I32WrapI64
	I64Load $80
	Set R11
	Block
		Loop
			Get R4
			Get R3
			I64LtS
			I32Eqz
			BrIf $1
			Get PC_B
			I64Load $48
			Set R12
			Get PC_B
			I64Load $0
			I64Const $32
			I64ShrU
			Get R5
			I64Ne
			Get R12
			Get R6
			I64And
			Get R7
			I64Ne
			I32Or
			If
				Br $2
			End
			Get SP
			I64Const $0
			I64Store $72
			Get SP
			I64Const $1
			I64Store $64
			Get SP
			Get R11
			I64Store $56
			Get SP
			Get R12
			Get R8
			I64And
			Get R9
			I64Or
			I64Store $48
			Get SP
			I64Const $0
			I64Store $40
			Get SP
			Get PC_B
			I64Load $32
			I64Const $-4294967296
			I64And
			I64Const $1
			I64Or
			I64Store $32
			Get SP
			Get PC_B
			I64Load $24
			I64Store $24
			Get SP
			Get PC_B
			I64Load $16
			I64Store $16
			Get SP
			Get PC_B
			I64Load $8
			I64Store $8
			Get SP
			Get R10
			I64Store $0
			Get R10
			I64Const $1
			I64Add
			Set R10
			Get R4
			I64Const $1
			I64Add
			Set R4
			Get PC_B
			I64ExtendI32U
			I64Const $80
			I64Add
			I32WrapI64
			Set PC_B
			Get SP
			I64ExtendI32U
			I64Const $80
			I64Add
			I32WrapI64
			Set SP
			Br $0
		End
	End
	Get R1
	I32WrapI64
	Get R1
	I32WrapI64
	I64Load $40
	Get R4
	Get R2
	I64Sub
	I64Add
	I64Store $40
	Get R1
	I32WrapI64
	Get R4
	I64Store $16
	Get R4
	Get R2
	I64Ne
	If
		Get R1
		I32WrapI64
		I64Const $0
		I64Store $160
	End
	I64Const $0
	Set R12
	Get R0
	I32WrapI64
	Set SP
	Get SP
	Get R12
	I64Store ret+8(FP)
	RET
	Unreachable
	RET

TEXT ·Members(SB), NOSPLIT, $0-16
	I64Load s+0(FP)
	I32WrapI64
	Set PC_B
	Get PC_B
	I64Load $64
	Set R1
	Block
		Get PC_B
		I64Load $56
		Set R2
		Get PC_B
		I64Load $184
		Set R3
		Get PC_B
		I64Load $152
		I32WrapI64
		I64Load $0
		Set R4
		Get PC_B
		I64Load $168
		Set R5
		Get PC_B
		I64Load $160
		Set R6
		Get R4
		Get R6
		I64Const $8
		I64Mul
		I64Add
		I32WrapI64
		I64Load $0
		Set R7
		Block
			Loop
				Get R7
				I64Const $254
				I64And
				I64Const $6
				I64Ne
				I32Eqz
				BrIf $1
				Get R7
				I64Const $65536
				I64GeU
				If
					Get R7
					I64Const $16
					I64ShrU
					Set R7
					Get R3
					Get R6
					I64Const $8
					I64Mul
					I64Add
					Set R8
					Get R6
					Get R7
					I64Add
					Set R6
					Block
						Loop
							Get R7
							I64Const $0
							I64Ne
							I32Eqz
							BrIf $1
							Get R8
							I32WrapI64
							Get R5
							I64Store $0
							Get R2
							Get R5
							I64Add
							I32WrapI64
							I64Load $0
							Set R9
							I64Const $1
							Set R10
							Get R9
							I64Const $255
							I64And
							I64Const $2
							I64Eq
							If
								Block
									I64Const $1099511627776
									Set R11
									Get R9
									I64Const $33024
									I64And
									I64Eqz
									If
										Get R9
										I64Const $9
										I64ShrU
										I64Const $63
										I64And
										I64Const $2
										I64Add
										Set R11
									Else
										Get R9
										I64Const $8421632
										I64And
										I64Const $32768
										I64Eq
										If
											Get R9
											I64Const $9
											I64ShrU
											I64Const $63
											I64And
											Get R9
											I64Const $10
											I64ShrU
											I64Const $8128
											I64And
											I64Or
											I64Const $3
											I64Add
											Set R11
										End
									End
									Get R11
									Set R10
									Br $0
								End
							Else
								Get R9
								I64Const $255
								I64And
								I64Const $0
								I64Ne
								If
									I64Const $1099511627776
									Set R10
								End
							End
							Get R5
							Get R10
							I64Add
							Set R5
							Get R5
							Get R1
							I64GtS
							If
								I64Const $0
								Set R0
								Br $6
							End
							Get R8
							I64Const $8
							I64Add
							Set R8
							Get R7
							I64Const $1
							I64Sub
							Set R7
							Br $0
						End
					End
					Get R4
					Get R6
					I64Const $8
					I64Mul
					I64Add
					I32WrapI64
					I64Load $0
					Set R7
					Br $1
				End
				Get R3
				Get R6
				I64Const $8
				I64Mul
				I64Add
				I32WrapI64
				Get R5
				I64Store $0
				Get R6
				I64Const $1
				I64Add
				Set R6
				Get R7
				I64Const $8
				I64And
				I64Const $0
				I64Ne
				If
					Get R2
					Get R5
					I64Add
					I32WrapI64
					I64Load8U $0
					Set R8
					Get R8
					I64Const $2
					I64Const $-1
					I64Xor
					I64And
					I64Const $0
					I64Ne
					If
						I64Const $0
						Set R0
						Br $4
					End
					Get R5
					I64Const $1
					I64Add
					Set R5
					Get R8
					Get R7
					I64Const $8
					I64ShrU
					I64Const $255
					I64And
					I64Ne
					If
						Get R5
						Get R1
						I64GtS
						If
							I64Const $0
							Set R0
							Br $5
						End
						Get R4
						Get R6
						I64Const $8
						I64Mul
						I64Add
						I32WrapI64
						I64Load $0
						Set R7
						Br $2
					End
					Get R7
					I64Const $7
					I64And
					Set R7
				End
				Get R7
				I64Eqz
				If
					Get R2
					Get R5
					I64Add
					I32WrapI64
					I64Load8U $0
					Set R8
					Get R5
					I64Const $1
					I64Add
					Set R5
					Get R8
					I64Const $128
					I64GeU
					If
						Get R2
						Get R5
						I64Add
						I32WrapI64
						I64Load8U $0
						Set R9
						Get R9
						I64Const $128
						I64GeU
						If
							I64Const $0
							Set R0
							Br $5
						End
						Get R8
						I64Const $127
						I64And
						Get R9
						I64Const $7
						I64Shl
						I64Or
						Set R8
						Get R5
						I64Const $1
						I64Add
						Set R5
					End
					Get R8
					I64Const $1
					I64And
					I64Const $0
					I64Ne
					If
						I64Const $0
						Set R0
						Br $4
					End
					Get R5
					Get R8
					I64Const $1
					I64ShrU
					I64Add
					Set R5
				Else
					Get R7
					I64Const $1
					I64Eq
					If
						Get R2
						Get R5
						I64Add
						I32WrapI64
						I64Load $0
						I64Const $-1
						I64Xor
						I64Const $-9187201950435737472
						I64And
						Set R8
						Get R8
						I64Eqz
						If
							I64Const $0
							Set R0
							Br $5
						End
						Get R5
						Get R8
						I64Ctz
						I64Const $3
						I64ShrS
						I64Const $1
						I64Add
						I64Add
						Set R5
					Else
						Get R7
						I64Const $2
						I64Eq
						If
							Get R2
							Get R5
							I64Add
							I32WrapI64
							I64Load8U $0
							I64Const $1
							I64GtU
							If
								I64Const $0
								Set R0
								Br $6
							End
							Get R5
							I64Const $1
							I64Add
							Set R5
						Else
							Get R7
							I64Const $3
							I64Eq
							If
								Get R5
								I64Const $4
								I64Add
								Set R5
							Else
								Get R7
								I64Const $4
								I64Eq
								If
									Get R5
									I64Const $8
									I64Add
									Set R5
								Else
									Get PC_B
									Get R6
									I64Store $160
									Get PC_B
									Get R5
									I64Store $168
									I64Const $1
									Set R0
									Br $7
								End
							End
						End
					End
				End
				Get R5
				Get R1
				I64GtS
				If
					I64Const $0
					Set R0
					Br $3
				End
				Get R4
				Get R6
				I64Const $8
				I64Mul
				I64Add
				I32WrapI64
				I64Load $0
				Set R7
				Br $0
			End
		End
		Get R7
		I64Const $6
		I64Ne
		If
			Get R5
			Get R1
			I64GtS
			If
				I64Const $0
				Set R0
				Br $2
			End
			Get R3
			Get R7
			I64Const $8
			I64ShrU
			I64Const $8
			I64Mul
			I64Add
			I32WrapI64
			Get R1
			I64Store $0
		Else
			Get R5
			Get R1
			I64Ne
			If
				I64Const $0
				Set R0
				Br $2
			End
		End
		Get R3
		Get R6
		I64Const $8
		I64Mul
		I64Add
		I32WrapI64
		Get R5
		I64Store $0
		Get PC_B
		Get R6
		I64Store $160
		Get PC_B
		Get R5
		I64Store $168
		I64Const $2
		Set R0
		Br $0
	End
	Get SP
	Get R0
	I64Store ret+8(FP)
	RET
	Unreachable
	RET

TEXT ·Structures(SB), NOSPLIT, $0-16
	I64Load s+0(FP)
	I32WrapI64
	Set PC_B
	Get SP
	I64ExtendI32U
	Set R0
	Block
		Loop
			Get PC_B
			I64Load $16
			Get PC_B
			I64Load $24
			I64LtS
			I32Eqz
			BrIf $1
			Get PC_B
			I64Load $0
			Get PC_B
			I64Load $16
			I64Const $80
			I64Mul
			I64Add
			I32WrapI64
			Set SP
			Get SP
			I64Load $56
			I64Const $32
			I64ShrU
			Set R1
			Get SP
			I64Load $56
			I64Const $4294967295
			I64And
			Get R1
			I64Add
			Set R3
			Block
				Get PC_B
				I64Load $160
				I64Eqz
				If
					Get SP
					I64Load $0
					I64Const $32
					I64ShrU
					Get PC_B
					I64Load $104
					I64Ne
					Get SP
					I64Load $48
					I64Const $-4294967041
					I64And
					Get PC_B
					I64Load $128
					I64Ne
					I32Or
					Get R3
					Get PC_B
					I64Load $64
					I64GtS
					I32Or
					Get PC_B
					I64Load $40
					Get PC_B
					I64Load $48
					I64GeS
					I32Or
					Get PC_B
					I64Load $80
					Get PC_B
					I64Load $96
					I64GeS
					I32Or
					If
						I64Const $0
						Set R2
						Br $2
					End
					Get PC_B
					Get SP
					I64Load $56
					I64Const $4294967295
					I64And
					I64Store $168
					Get PC_B
					I64Load $152
					I32WrapI64
					I64Load $8
					Set R4
					Get R4
					I64Const $0
					I64Ne
					If
						Get PC_B
						I64Load $56
						Get PC_B
						I64Load $168
						I64Add
						I32WrapI64
						I64Load8U $0
						I64Const $1
						I64Add
						Get R4
						I64Ne
						If
							I64Const $0
							Set R2
							Br $3
						End
						Get PC_B
						Get PC_B
						I64Load $168
						I64Const $1
						I64Add
						I64Store $168
					End
				End
				Block
					Get PC_B
					I64Load $56
					Set R5
					Get PC_B
					I64Load $184
					Set R6
					Get PC_B
					I64Load $152
					I32WrapI64
					I64Load $0
					Set R7
					Get PC_B
					I64Load $168
					Set R8
					Get PC_B
					I64Load $160
					Set R9
					Get R7
					Get R9
					I64Const $8
					I64Mul
					I64Add
					I32WrapI64
					I64Load $0
					Set R10
					Block
						Loop
							Get R10
							I64Const $254
							I64And
							I64Const $6
							I64Ne
							I32Eqz
							BrIf $1
							Get R10
							I64Const $65536
							I64GeU
							If
								Get R10
								I64Const $16
								I64ShrU
								Set R10
								Get R6
								Get R9
								I64Const $8
								I64Mul
								I64Add
								Set R11
								Get R9
								Get R10
								I64Add
								Set R9
								Block
									Loop
										Get R10
										I64Const $0
										I64Ne
										I32Eqz
										BrIf $1
										Get R11
										I32WrapI64
										Get R8
										I64Store $0
										Get R5
										Get R8
										I64Add
										I32WrapI64
										I64Load $0
										Set R12
										I64Const $1
										Set R13
										Get R12
										I64Const $255
										I64And
										I64Const $2
										I64Eq
										If
											Block
												I64Const $1099511627776
												Set R14
												Get R12
												I64Const $33024
												I64And
												I64Eqz
												If
													Get R12
													I64Const $9
													I64ShrU
													I64Const $63
													I64And
													I64Const $2
													I64Add
													Set R14
												Else
													Get R12
													I64Const $8421632
													I64And
													I64Const $32768
													I64Eq
													If
														Get R12
														I64Const $9
														I64ShrU
														I64Const $63
														I64And
														Get R12
														I64Const $10
														I64ShrU
														I64Const $8128
														I64And
														I64Or
														I64Const $3
														I64Add
														Set R14
													End
												End
												Get R14
												Set R13
												Br $0
											End
										Else
											Get R12
											I64Const $255
											I64And
											I64Const $0
											I64Ne
											If
												I64Const $1099511627776
												Set R13
											End
										End
										Get R8
										Get R13
										I64Add
										Set R8
										Get R8
										Get R3
										I64GtS
										If
											I64Const $0
											Set R4
											Br $6
										End
										Get R11
										I64Const $8
										I64Add
										Set R11
										Get R10
										I64Const $1
										I64Sub
										Set R10
										Br $0
									End
								End
								Get R7
								Get R9
								I64Const $8
								I64Mul
								I64Add
								I32WrapI64
								I64Load $0
								Set R10
								Br $1
							End
							Get R6
							Get R9
							I64Const $8
							I64Mul
							I64Add
							I32WrapI64
							Get R8
							I64Store $0
							Get R9
							I64Const $1
							I64Add
							Set R9
							Get R10
							I64Const $8
							I64And
							I64Const $0
							I64Ne
							If
								Get R5
								Get R8
								I64Add
								I32WrapI64
								I64Load8U $0
								Set R11
								Get R11
								I64Const $2
								I64Const $-1
								I64Xor
								I64And
								I64Const $0
								I64Ne
								If
									I64Const $0
									Set R4
									Br $4
								End
								Get R8
								I64Const $1
								I64Add
								Set R8
								Get R11
								Get R10
								I64Const $8
								I64ShrU
								I64Const $255
								I64And
								I64Ne
								If
									Get R8
									Get R3
									I64GtS
									If
										I64Const $0
										Set R4
										Br $5
									End
									Get R7
									Get R9
									I64Const $8
									I64Mul
									I64Add
									I32WrapI64
									I64Load $0
									Set R10
									Br $2
								End
								Get R10
								I64Const $7
								I64And
								Set R10
							End
							Get R10
							I64Eqz
							If
								Get R5
								Get R8
								I64Add
								I32WrapI64
								I64Load8U $0
								Set R11
								Get R8
								I64Const $1
								I64Add
								Set R8
								Get R11
								I64Const $128
								I64GeU
								If
									Get R5
									Get R8
									I64Add
									I32WrapI64
									I64Load8U $0
									Set R12
									Get R12
									I64Const $128
									I64GeU
									If
										I64Const $0
										Set R4
										Br $5
									End
									Get R11
									I64Const $127
									I64And
									Get R12
									I64Const $7
									I64Shl
									I64Or
									Set R11
									Get R8
									I64Const $1
									I64Add
									Set R8
								End
								Get R11
								I64Const $1
								I64And
								I64Const $0
								I64Ne
								If
									I64Const $0
									Set R4
									Br $4
								End
								Get R8
								Get R11
								I64Const $1
								I64ShrU
								I64Add
								Set R8
							Else
								Get R10
								I64Const $1
								I64Eq
								If
									Get R5
									Get R8
									I64Add
									I32WrapI64
									I64Load $0
									I64Const $-1
									I64Xor
									I64Const $-9187201950435737472
									I64And
									Set R11
									Get R11
									I64Eqz
									If
										I64Const $0
										Set R4
										Br $5
									End
									Get R8
									Get R11
									I64Ctz
									I64Const $3
									I64ShrS
									I64Const $1
									I64Add
									I64Add
									Set R8
								Else
									Get R10
									I64Const $2
									I64Eq
									If
										Get R5
										Get R8
										I64Add
										I32WrapI64
										I64Load8U $0
										I64Const $1
										I64GtU
										If
											I64Const $0
											Set R4
											Br $6
										End
										Get R8
										I64Const $1
										I64Add
										Set R8
									Else
										Get R10
										I64Const $3
										I64Eq
										If
											Get R8
											I64Const $4
											I64Add
											Set R8
										Else
											Get R10
											I64Const $4
											I64Eq
											If
												Get R8
												I64Const $8
												I64Add
												Set R8
											Else
												Get PC_B
												Get R9
												I64Store $160
												Get PC_B
												Get R8
												I64Store $168
												I64Const $1
												Set R4
												Br $7
											End
										End
									End
								End
							End
							Get R8
							Get R3
							I64GtS
							If
								I64Const $0
								Set R4
								Br $3
							End
							Get R7
							Get R9
							I64Const $8
							I64Mul
							I64Add
							I32WrapI64
							I64Load $0
							Set R10
							Br $0
						End
					End
					Get R10
					I64Const $6
					I64Ne
					If
						Get R8
						Get R3
						I64GtS
						If
							I64Const $0
							Set R4
							Br $2
						End
						Get R6
						Get R10
						I64Const $8
						I64ShrU
						I64Const $8
						I64Mul
						I64Add
						I32WrapI64
						Get R3
						I64Store $0
					Else
						Get R8
						Get R3
						I64Ne
						If
							I64Const $0
							Set R4
							Br $2
						End
					End
					Get R6
					Get R9
					I64Const $8
					I64Mul
					I64Add
					I32WrapI64
					Get R8
					I64Store $0
					Get PC_B
					Get R9
					I64Store $160
					Get PC_B
					Get R8
					I64Store $168
					I64Const $2
					Set R4
					Br $0
				End
				Get R4
				Set R2
				Br $0
			End
			Get R2
			I64Const $2
			I64Eq
			Get PC_B
			I64Load $176
			Get PC_B
			I64Load $152
			I32WrapI64
			I64Load $120
			I64LtS
			I32And
			If
				I64Const $3
				Set R3
				Get R0
				I32WrapI64
				Set SP
				Get SP
				Get R3
				I64Store ret+8(FP)
				RET
			End
			Get R2
			I64Const $2
			I64Ne
			Get PC_B
			I64Load $80
			Get R1
			Get PC_B
			I64Load $176
			I64Add
			Get PC_B
			I64Load $152
			I32WrapI64
			I64Load $112
			I64Shl
			I64Add
			Get PC_B
			I64Load $152
			I32WrapI64
			I64Load $96
			I64Add
			I64Const $64
			I64Add
			Get PC_B
			I64Load $88
			I64GtS
			I32Or
			If
				Get R2
				Set R3
				Get R0
				I32WrapI64
				Set SP
				Get SP
				Get R3
				I64Store ret+8(FP)
				RET
			End
			Get PC_B
			I64Load $80
			Set R3
			Block
				Get PC_B
				I64Load $72
				Set R4
				Get PC_B
				I64Load $80
				Set R5
				Get PC_B
				I64Load $152
				I32WrapI64
				I64Load $80
				Set R6
				Get PC_B
				I64Load $152
				I32WrapI64
				I64Load $88
				Set R7
				Block
					Loop
						Get R7
						I64Const $0
						I64Ne
						I32Eqz
						BrIf $1
						Block
							Get R6
							I32WrapI64
							I64Load $32
							Set R8
							Get R6
							I32WrapI64
							I64Load $40
							Set R9
							Get R6
							I32WrapI64
							I64Load $0
							Set R10
							Get R10
							I64Const $6
							I64Eq
							If
								Get R3
								Set R5
							Else
								Get R10
								I64Const $1
								I64Eq
								If
									Get PC_B
									I64Load $184
									Get R6
									I32WrapI64
									I64Load $8
									I64Add
									I32WrapI64
									I64Load $0
									Get R6
									I32WrapI64
									I64Load $24
									I64Add
									Set R11
									Get PC_B
									I64Load $184
									Get R6
									I32WrapI64
									I64Load $16
									I64Add
									I32WrapI64
									I64Load $0
									Get R11
									I64Sub
									Set R9
									Get PC_B
									I64Load $56
									Get R11
									I64Add
									Set R8
								Else
									Get R10
									I64Const $4
									I64Eq
									If
										Get SP
										I64ExtendI32U
										Get R6
										I32WrapI64
										I64Load $8
										I64Add
										I32WrapI64
										I64Load $0
										Set R11
										Get R6
										I32WrapI64
										I64Load $8
										I64Const $8
										I64Eq
										If
											Get R11
											I64Const $32
											I64Shl
											I64Const $32
											I64ShrS
											Set R11
										End
										I64Const $0
										Set R9
										Get R6
										I32WrapI64
										I64Load $48
										I64Const $0
										I64Ne
										If
											Get R4
											Get R3
											I64Add
											I32WrapI64
											I64Const $2
											Get R11
											I64Const $63
											I64ShrS
											I64Const $255
											I64And
											I64Const $-1
											I64Xor
											I64And
											I64Store8 $0
											Get R3
											I64Const $1
											I64Add
											Set R3
										End
										Get R6
										I32WrapI64
										I64Load $48
										I64Eqz
										Get R11
										I64Const $0
										I64GeS
										I32Or
										If
											Get R11
											I64Const $1
											I64Shl
											Get R11
											I64Const $63
											I64ShrS
											I64Xor
											Set R12
											Block
												Loop
													Get R12
													I64Const $128
													I64GeU
													I32Eqz
													BrIf $1
													Get R4
													Get R3
													I64Add
													I32WrapI64
													Get R12
													I64Const $128
													I64Or
													I64Const $255
													I64And
													I64Store8 $0
													Get R3
													I64Const $1
													I64Add
													Set R3
													Get R12
													I64Const $7
													I64ShrU
													Set R12
													Br $0
												End
											End
											Get R4
											Get R3
											I64Add
											I32WrapI64
											Get R12
											I64Const $255
											I64And
											I64Store8 $0
											Get R3
											I64Const $1
											I64Add
											Set R3
										End
									Else
										Get R10
										I64Const $5
										I64Eq
										If
											Get R8
											I32WrapI64
											I64Load $8
											Set R9
											Get R8
											I32WrapI64
											I64Load $0
											Set R8
										Else
											Get R10
											I64Const $0
											I64Ne
											If
												Get PC_B
												I64Load $184
												Get R6
												I32WrapI64
												I64Load $8
												I64Add
												I32WrapI64
												I64Load $0
												Get R6
												I32WrapI64
												I64Load $24
												I64Add
												Set R11
												Get PC_B
												I64Load $56
												Get R11
												I64Add
												I32WrapI64
												I64Load8U $0
												Set R12
												Get R10
												I64Const $3
												I64Eq
												If
													Get R12
													I64Const $16
													I64Mul
													Set R13
													Get R8
													Get R13
													I64Add
													I32WrapI64
													I64Load $8
													Set R9
													Get R8
													Get R13
													I64Add
													I32WrapI64
													I64Load $0
													Set R8
												Else
													Get R12
													Get R6
													I32WrapI64
													I64Load $48
													I64Ne
													If
														Get PC_B
														I64Load $184
														Get R6
														I32WrapI64
														I64Load $16
														I64Add
														I32WrapI64
														I64Load $0
														Get R11
														I64Sub
														Set R9
														Get PC_B
														I64Load $56
														Get R11
														I64Add
														Set R8
													End
												End
											End
										End
									End
								End
							End
							Get R9
							I64Const $64
							I64GtS
							If
								Get R4
								Get R3
								I64Add
								I32WrapI64
								Get R8
								I64Const $0
								I64Add
								I32WrapI64
								Get R9
								I32WrapI64
								MemoryCopy
							Else
								I64Const $0
								Set R11
								Block
									Loop
										Get R11
										Get R9
										I64LtS
										I32Eqz
										BrIf $1
										Block
											Get R4
											Get R3
											Get R11
											I64Add
											I64Add
											I32WrapI64
											Get R8
											Get R11
											I64Add
											I32WrapI64
											I64Load $0
											I64Store $0
											Get R4
											Get R3
											Get R11
											I64Add
											I64Add
											I32WrapI64
											Get R8
											Get R11
											I64Add
											I32WrapI64
											I64Load $8
											I64Store $8
										End
										Get R11
										I64Const $16
										I64Add
										Set R11
										Br $0
									End
								End
							End
							Get R3
							Get R9
							I64Add
							Set R3
							Get R6
							I64Const $56
							I64Add
							Set R6
						End
						Get R7
						I64Const $1
						I64Sub
						Set R7
						Br $0
					End
				End
				Get PC_B
				I64Load $144
				Set R7
				Block
					Get PC_B
					I64Load $8
					Get PC_B
					I64Load $40
					I64Const $80
					I64Mul
					I64Add
					Set R8
					Get R8
					I32WrapI64
					Get PC_B
					I64Load $32
					Get PC_B
					I64Load $16
					I64Add
					Get PC_B
					I64Load $112
					I64Const $32
					I64Shl
					I64Or
					I64Store $0
					Get R8
					I32WrapI64
					Get SP
					I64Load $8
					I64Store $8
					Get R8
					I32WrapI64
					Get SP
					I64Load $16
					I64Store $16
					Get R8
					I32WrapI64
					Get SP
					I64Load $24
					I64Store $24
					Get PC_B
					I64Load $152
					I32WrapI64
					I64Load $104
					Set R9
					Get R9
					I64Const $0
					I64Ne
					If
						Get R8
						I32WrapI64
						Get R9
						I64Store $32
						Get R8
						I32WrapI64
						Get PC_B
						I64Load $80
						Get R5
						Get PC_B
						I64Load $80
						I64Sub
						I64Const $32
						I64Shl
						I64Or
						I64Store $40
					Else
						Get R8
						I32WrapI64
						Get SP
						I64Load $32
						I64Const $-4294967296
						I64And
						I64Const $1
						I64Or
						I64Store $32
						Get R8
						I32WrapI64
						I64Const $0
						I64Store $40
					End
					Get R8
					I32WrapI64
					Get R7
					I64Store $48
					Get R8
					I32WrapI64
					Get R5
					Get R3
					Get R5
					I64Sub
					I64Const $32
					I64Shl
					I64Or
					I64Store $56
					Get R8
					I32WrapI64
					I64Const $1
					I64Store $64
					Get R8
					I32WrapI64
					I64Const $0
					I64Store $72
					Get PC_B
					Get R3
					I64Store $80
					Get PC_B
					Get PC_B
					I64Load $16
					I64Const $1
					I64Add
					I64Store $16
					Get PC_B
					Get PC_B
					I64Load $40
					I64Const $1
					I64Add
					I64Store $40
					Get PC_B
					I64Const $0
					I64Store $160
					Get PC_B
					I64Const $0
					I64Store $176
				End
			End
			Br $0
		End
	End
	I64Const $0
	Set R1
	Get R0
	I32WrapI64
	Set SP
	Get SP
	Get R1
	I64Store ret+8(FP)
	RET
	Unreachable
	RET

TEXT ·Apart(SB), NOSPLIT, $0-16
	I64Load s+0(FP)
	I32WrapI64
	Set PC_B
	Get SP
	I64ExtendI32U
	Set R0
	Get PC_B
	I64Load $0
	I32WrapI64
	Set SP
	I64Const $0
	Set R1
	Get PC_B
	I64Load $24
	Set R2
	Block
		Loop
			Get R2
			I64Const $0
			I64Ne
			I32Eqz
			BrIf $1
			Block
				Get SP
				I64Load $32
				I64Const $255
				I64And
				I64Const $0
				I64Ne
				If
					Get SP
					I64Load $40
					I64Const $4294967295
					I64And
					Set R3
					Get R3
					Get R1
					I64LtS
					If
						I64Const $0
						Set R4
						Get R0
						I32WrapI64
						Set SP
						Get SP
						Get R4
						I64Store ret+8(FP)
						RET
					End
					Get R3
					Get SP
					I64Load $40
					I64Const $32
					I64ShrU
					I64Add
					Set R1
				End
				Get SP
				I64Load $48
				I64Const $255
				I64And
				I64Const $0
				I64Ne
				If
					Get SP
					I64Load $56
					I64Const $4294967295
					I64And
					Set R3
					Get R3
					Get R1
					I64LtS
					If
						I64Const $0
						Set R4
						Get R0
						I32WrapI64
						Set SP
						Get SP
						Get R4
						I64Store ret+8(FP)
						RET
					End
					Get R3
					Get SP
					I64Load $56
					I64Const $32
					I64ShrU
					I64Add
					I64Const $64
					I64Add
					Set R1
				End
				Get SP
				I64Load $64
				I64Const $255
				I64And
				I64Const $0
				I64Ne
				If
					Get SP
					I64Load $72
					I64Const $4294967295
					I64And
					Set R3
					Get R3
					Get R1
					I64LtS
					If
						I64Const $0
						Set R4
						Get R0
						I32WrapI64
						Set SP
						Get SP
						Get R4
						I64Store ret+8(FP)
						RET
					End
					Get R3
					Get SP
					I64Load $72
					I64Const $32
					I64ShrU
					I64Add
					Set R1
				End
				Get SP
				I64ExtendI32U
				I64Const $80
				I64Add
				I32WrapI64
				Set SP
			End
			Get R2
			I64Const $1
			I64Sub
			Set R2
			Br $0
		End
	End
	Get R1
	Get PC_B
	I64Load $64
	I64Const $64
	I64Add
	I64GtS
	If
		I64Const $0
		Set R2
		Get R0
		I32WrapI64
		Set SP
		Get SP
		Get R2
		I64Store ret+8(FP)
		RET
	End
	I64Const $2
	Set R2
	Get R0
	I32WrapI64
	Set SP
	Get SP
	Get R2
	I64Store ret+8(FP)
	RET
	Unreachable
	RET

TEXT ·Append(SB), NOSPLIT, $0-16
	I64Load s+0(FP)
	I32WrapI64
	Set PC_B
	Get SP
	I64ExtendI32U
	Set R0
	Get PC_B
	I64Load $0
	Get PC_B
	I64Load $16
	I64Const $80
	I64Mul
	I64Add
	I32WrapI64
	Set SP
	Block
		Loop
			Get PC_B
			I64Load $16
			Get PC_B
			I64Load $24
			I64LtS
			I32Eqz
			BrIf $1
			Get SP
			I64Load $0
			I64Const $32
			I64ShrU
			Get PC_B
			I64Load $104
			I64Ne
			Get SP
			I64Load $48
			I64Const $-4294967041
			I64And
			Get PC_B
			I64Load $128
			I64Ne
			I32Or
			Get PC_B
			I64Load $40
			Get PC_B
			I64Load $48
			I64GeS
			I32Or
			If
				I64Const $0
				Set R1
				Get R0
				I32WrapI64
				Set SP
				Get SP
				Get R1
				I64Store ret+8(FP)
				RET
			End
			Get SP
			I64Load $56
			I64Const $4294967295
			I64And
			Set R1
			Get R1
			Get SP
			I64Load $56
			I64Const $32
			I64ShrU
			I64Add
			Set R2
			Get PC_B
			I64Load $152
			I32WrapI64
			I64Load $8
			Set R3
			Get R3
			I64Const $0
			I64Ne
			If
				Get R1
				Get R2
				I64Eq
				Get PC_B
				I64Load $56
				Get R1
				I64Add
				I32WrapI64
				I64Load8U $0
				I64Const $1
				I64Add
				Get R3
				I64Ne
				I32Or
				If
					I64Const $0
					Set R4
					Get R0
					I32WrapI64
					Set SP
					Get SP
					Get R4
					I64Store ret+8(FP)
					RET
				End
				Get R1
				I64Const $1
				I64Add
				Set R1
			End
			Get PC_B
			Get R1
			I64Store $80
			Get R2
			Set R4
			Block
				Get PC_B
				I64Load $72
				Set R5
				Get PC_B
				I64Load $80
				Set R6
				Get PC_B
				I64Load $152
				I32WrapI64
				I64Load $80
				Set R7
				Get PC_B
				I64Load $152
				I32WrapI64
				I64Load $88
				Set R8
				Block
					Loop
						Get R8
						I64Const $0
						I64Ne
						I32Eqz
						BrIf $1
						Block
							Get R7
							I32WrapI64
							I64Load $32
							Set R9
							Get R7
							I32WrapI64
							I64Load $40
							Set R10
							Get R7
							I32WrapI64
							I64Load $0
							Set R11
							Get R11
							I64Const $6
							I64Eq
							If
								Get R4
								Set R6
							Else
								Get R11
								I64Const $1
								I64Eq
								If
									Get PC_B
									I64Load $184
									Get R7
									I32WrapI64
									I64Load $8
									I64Add
									I32WrapI64
									I64Load $0
									Get R7
									I32WrapI64
									I64Load $24
									I64Add
									Set R12
									Get PC_B
									I64Load $184
									Get R7
									I32WrapI64
									I64Load $16
									I64Add
									I32WrapI64
									I64Load $0
									Get R12
									I64Sub
									Set R10
									Get PC_B
									I64Load $56
									Get R12
									I64Add
									Set R9
								Else
									Get R11
									I64Const $4
									I64Eq
									If
										Get SP
										I64ExtendI32U
										Get R7
										I32WrapI64
										I64Load $8
										I64Add
										I32WrapI64
										I64Load $0
										Set R12
										Get R7
										I32WrapI64
										I64Load $8
										I64Const $8
										I64Eq
										If
											Get R12
											I64Const $32
											I64Shl
											I64Const $32
											I64ShrS
											Set R12
										End
										I64Const $0
										Set R10
										Get R7
										I32WrapI64
										I64Load $48
										I64Const $0
										I64Ne
										If
											Get R5
											Get R4
											I64Add
											I32WrapI64
											I64Const $2
											Get R12
											I64Const $63
											I64ShrS
											I64Const $255
											I64And
											I64Const $-1
											I64Xor
											I64And
											I64Store8 $0
											Get R4
											I64Const $1
											I64Add
											Set R4
										End
										Get R7
										I32WrapI64
										I64Load $48
										I64Eqz
										Get R12
										I64Const $0
										I64GeS
										I32Or
										If
											Get R12
											I64Const $1
											I64Shl
											Get R12
											I64Const $63
											I64ShrS
											I64Xor
											Set R13
											Block
												Loop
													Get R13
													I64Const $128
													I64GeU
													I32Eqz
													BrIf $1
													Get R5
													Get R4
													I64Add
													I32WrapI64
													Get R13
													I64Const $128
													I64Or
													I64Const $255
													I64And
													I64Store8 $0
													Get R4
													I64Const $1
													I64Add
													Set R4
													Get R13
													I64Const $7
													I64ShrU
													Set R13
													Br $0
												End
											End
											Get R5
											Get R4
											I64Add
											I32WrapI64
											Get R13
											I64Const $255
											I64And
											I64Store8 $0
											Get R4
											I64Const $1
											I64Add
											Set R4
										End
									Else
										Get R11
										I64Const $5
										I64Eq
										If
											Get R9
											I32WrapI64
											I64Load $8
											Set R10
											Get R9
											I32WrapI64
											I64Load $0
											Set R9
										Else
											Get R11
											I64Const $0
											I64Ne
											If
												Get PC_B
												I64Load $184
												Get R7
												I32WrapI64
												I64Load $8
												I64Add
												I32WrapI64
												I64Load $0
												Get R7
												I32WrapI64
												I64Load $24
												I64Add
												Set R12
												Get PC_B
												I64Load $56
												Get R12
												I64Add
												I32WrapI64
												I64Load8U $0
												Set R13
												Get R11
												I64Const $3
												I64Eq
												If
													Get R13
													I64Const $16
													I64Mul
													Set R14
													Get R9
													Get R14
													I64Add
													I32WrapI64
													I64Load $8
													Set R10
													Get R9
													Get R14
													I64Add
													I32WrapI64
													I64Load $0
													Set R9
												Else
													Get R13
													Get R7
													I32WrapI64
													I64Load $48
													I64Ne
													If
														Get PC_B
														I64Load $184
														Get R7
														I32WrapI64
														I64Load $16
														I64Add
														I32WrapI64
														I64Load $0
														Get R12
														I64Sub
														Set R10
														Get PC_B
														I64Load $56
														Get R12
														I64Add
														Set R9
													End
												End
											End
										End
									End
								End
							End
							Get R10
							I64Const $64
							I64GtS
							If
								Get R5
								Get R4
								I64Add
								I32WrapI64
								Get R9
								I64Const $0
								I64Add
								I32WrapI64
								Get R10
								I32WrapI64
								MemoryCopy
							Else
								I64Const $0
								Set R12
								Block
									Loop
										Get R12
										Get R10
										I64LtS
										I32Eqz
										BrIf $1
										Block
											Get R5
											Get R4
											Get R12
											I64Add
											I64Add
											I32WrapI64
											Get R9
											Get R12
											I64Add
											I32WrapI64
											I64Load $0
											I64Store $0
											Get R5
											Get R4
											Get R12
											I64Add
											I64Add
											I32WrapI64
											Get R9
											Get R12
											I64Add
											I32WrapI64
											I64Load $8
											I64Store $8
										End
										Get R12
										I64Const $16
										I64Add
										Set R12
										Br $0
									End
								End
							End
							Get R4
							Get R10
							I64Add
							Set R4
							Get R7
							I64Const $56
							I64Add
							Set R7
						End
						Get R8
						I64Const $1
						I64Sub
						Set R8
						Br $0
					End
				End
				Get PC_B
				I64Load $144
				Set R8
				Block
					Get PC_B
					I64Load $8
					Get PC_B
					I64Load $40
					I64Const $80
					I64Mul
					I64Add
					Set R9
					Get R9
					I32WrapI64
					Get PC_B
					I64Load $32
					Get PC_B
					I64Load $16
					I64Add
					Get PC_B
					I64Load $112
					I64Const $32
					I64Shl
					I64Or
					I64Store $0
					Get R9
					I32WrapI64
					Get SP
					I64Load $8
					I64Store $8
					Get R9
					I32WrapI64
					Get SP
					I64Load $16
					I64Store $16
					Get R9
					I32WrapI64
					Get SP
					I64Load $24
					I64Store $24
					Get PC_B
					I64Load $152
					I32WrapI64
					I64Load $104
					Set R10
					Get R10
					I64Const $0
					I64Ne
					If
						Get R9
						I32WrapI64
						Get R10
						I64Store $32
						Get R9
						I32WrapI64
						Get PC_B
						I64Load $80
						Get R6
						Get PC_B
						I64Load $80
						I64Sub
						I64Const $32
						I64Shl
						I64Or
						I64Store $40
					Else
						Get R9
						I32WrapI64
						Get SP
						I64Load $32
						I64Const $-4294967296
						I64And
						I64Const $1
						I64Or
						I64Store $32
						Get R9
						I32WrapI64
						I64Const $0
						I64Store $40
					End
					Get R9
					I32WrapI64
					Get R8
					I64Store $48
					Get R9
					I32WrapI64
					Get R6
					Get R4
					Get R6
					I64Sub
					I64Const $32
					I64Shl
					I64Or
					I64Store $56
					Get R9
					I32WrapI64
					I64Const $1
					I64Store $64
					Get R9
					I32WrapI64
					I64Const $0
					I64Store $72
					Get PC_B
					Get R4
					I64Store $80
					Get PC_B
					Get PC_B
					I64Load $16
					I64Const $1
					I64Add
					I64Store $16
					Get PC_B
					Get PC_B
					I64Load $40
					I64Const $1
					I64Add
					I64Store $40
					Get PC_B
					I64Const $0
					I64Store $160
					Get PC_B
					I64Const $0
					I64Store $176
				End
			End
			Get SP
			I64ExtendI32U
			I64Const $80
			I64Add
			I32WrapI64
			Set SP
			Br $0
		End
	End
	I64Const $0
	Set R1
	Get R0
	I32WrapI64
	Set SP
	Get SP
	Get R1
	I64Store ret+8(FP)
	RET
	Unreachable
	RET

TEXT ·Entries(SB), NOSPLIT, $0-16
	I64Load s+0(FP)
	I32WrapI64
	Set PC_B
	Get PC_B
	I64Load $56
	Set R0
	Get PC_B
	I64Load $184
	Set R1
	Get PC_B
	I64Load $168
	Set R2
	Get PC_B
	I64Load $160
	Set R3
	Block
		Loop
			Get R3
			Get PC_B
			I64Load $24
			I64LtS
			I32Eqz
			BrIf $1
			Get R1
			Get R3
			I64Const $8
			I64Mul
			I64Add
			I32WrapI64
			Get R2
			I64Store $0
			Get R3
			I64Const $1
			I64Add
			Set R3
			Get R2
			Get PC_B
			I64Load $64
			I64GeS
			If
				Get SP
				I64Const $0
				I64Store ret+8(FP)
				RET
			End
			Block
				Get R0
				Get R2
				I64Add
				I32WrapI64
				I64Load $0
				Set R5
				Get R5
				I64Const $255
				I64And
				Set R6
				I64Const $1099511627776
				Set R7
				Get R6
				I64Const $9
				I64Eq
				If
					Block
						I64Const $1099511627776
						Set R8
						Get R5
						I64Const $33024
						I64And
						I64Eqz
						If
							Get R5
							I64Const $9
							I64ShrU
							I64Const $63
							I64And
							I64Const $2
							I64Add
							Set R8
						Else
							Get R5
							I64Const $8421632
							I64And
							I64Const $32768
							I64Eq
							If
								Get R5
								I64Const $9
								I64ShrU
								I64Const $63
								I64And
								Get R5
								I64Const $10
								I64ShrU
								I64Const $8128
								I64And
								I64Or
								I64Const $3
								I64Add
								Set R8
							End
						End
						Get R8
						Set R7
						Br $0
					End
				Else
					Get R6
					I64Const $2
					I64LeU
					If
						I64Const $1
						Set R7
					Else
						Get R6
						I64Const $6
						I64LeU
						If
							Get R0
							Get R2
							I64Add
							I32WrapI64
							I64Load $1
							I64Const $-1
							I64Xor
							I64Const $-9187201950435737472
							I64And
							I64Ctz
							I64Const $3
							I64ShrS
							I64Const $2
							I64Add
							Set R7
							Get R7
							I64Const $1
							I64Const $1
							Get R6
							I64Const $3
							I64Sub
							I64Shl
							I64Add
							I64GtS
							If
								I64Const $1099511627776
								Set R7
							End
						Else
							Get R6
							I64Const $8
							I64Eq
							If
								I64Const $9
								Set R7
							Else
								Get R6
								I64Const $10
								I64Eq
								If
									Block
										I64Const $1099511627776
										Set R8
										Get R5
										I64Const $33024
										I64And
										I64Eqz
										If
											Get R5
											I64Const $9
											I64ShrU
											I64Const $63
											I64And
											I64Const $2
											I64Add
											Set R8
										Else
											Get R5
											I64Const $8421632
											I64And
											I64Const $32768
											I64Eq
											If
												Get R5
												I64Const $9
												I64ShrU
												I64Const $63
												I64And
												Get R5
												I64Const $10
												I64ShrU
												I64Const $8128
												I64And
												I64Or
												I64Const $3
												I64Add
												Set R8
											End
										End
										Get R8
										Set R7
										Br $0
									End
								End
							End
						End
					End
				End
				Get R7
				Set R4
				Br $0
			End
			Get R4
			I64Const $1099511627776
			I64Eq
			If
				Get PC_B
				Get R3
				I64Store $160
				Get PC_B
				Get R2
				I64Store $168
				Get SP
				I64Const $1
				I64Store ret+8(FP)
				RET
			End
			Get R2
			Get R4
			I64Add
			Set R2
			Get R2
			Get PC_B
			I64Load $64
			I64GtS
			If
				Get SP
				I64Const $0
				I64Store ret+8(FP)
				RET
			End
			Br $0
		End
	End
	Get R1
	Get R3
	I64Const $8
	I64Mul
	I64Add
	I32WrapI64
	Get R2
	I64Store $0
	Get PC_B
	Get R2
	I64Store $168
	Get SP
	I64Const $2
	I64Store ret+8(FP)
	RET
	Unreachable
	RET

TEXT ·Maps(SB), NOSPLIT, $0-16
	I64Load s+0(FP)
	I32WrapI64
	Set PC_B
	Get SP
	I64ExtendI32U
	Set R0
	Block
		Loop
			Get PC_B
			I64Load $16
			Get PC_B
			I64Load $24
			I64LtS
			I32Eqz
			BrIf $1
			Get PC_B
			I64Load $0
			Get PC_B
			I64Load $16
			I64Const $80
			I64Mul
			I64Add
			I32WrapI64
			Set SP
			Get SP
			I64Load $56
			I64Const $32
			I64ShrU
			Set R1
			Get SP
			I64Load $56
			I64Const $4294967295
			I64And
			Get R1
			I64Add
			Set R3
			Block
				Get PC_B
				I64Load $56
				Set R4
				Get PC_B
				I64Load $184
				Set R5
				Get PC_B
				I64Load $168
				Set R6
				Get PC_B
				I64Load $160
				Set R7
				Get R7
				I64Eqz
				If
					Get PC_B
					I64Load $152
					Set R8
					Get SP
					I64Load $0
					I64Const $32
					I64ShrU
					Get PC_B
					I64Load $104
					I64Ne
					Get SP
					I64Load $48
					I64Const $255
					I64And
					I64Const $3
					I64Ne
					I32Or
					Get R3
					Get PC_B
					I64Load $64
					I64GtS
					I32Or
					Get PC_B
					I64Load $40
					Get PC_B
					I64Load $48
					I64GeS
					I32Or
					Get PC_B
					I64Load $80
					Get PC_B
					I64Load $96
					I64GeS
					I32Or
					If
						I64Const $0
						Set R2
						Br $2
					End
					Get SP
					I64Load $8
					I64Const $31
					I64ShrU
					I64Const $1
					I64And
					Get SP
					I64Load $16
					I64Const $63
					I64ShrU
					I64Const $1
					I64Shl
					I64Or
					Get SP
					I64Load $24
					I64Const $63
					I64ShrU
					I64Const $2
					I64Shl
					I64Or
					Get R8
					I32WrapI64
					I64Load $72
					I64Ne
					If
						I64Const $0
						Set R2
						Br $2
					End
					Get SP
					I64Load $56
					I64Const $4294967295
					I64And
					Set R6
					Get R4
					Get R6
					I64Add
					I32WrapI64
					I64Load $0
					Get R8
					I32WrapI64
					I64Load $32
					I64Xor
					Get R8
					I32WrapI64
					I64Load $40
					I64And
					I64Const $0
					I64Ne
					If
						I64Const $0
						Set R2
						Br $2
					End
					Get R6
					Get R8
					I32WrapI64
					I64Load $48
					I64Add
					Set R6
				End
				Get PC_B
				I64Load $152
				I32WrapI64
				I64Load $24
				Set R8
				Get PC_B
				I64Load $152
				I32WrapI64
				I64Load $16
				Get R7
				I64Const $48
				I64Mul
				I64Add
				Set R9
				Block
					Loop
						Get R7
						Get R8
						I64LtS
						I32Eqz
						BrIf $1
						Get R5
						Get R7
						I64Const $8
						I64Mul
						I64Add
						I32WrapI64
						Get R6
						I64Store $0
						Get R7
						I64Const $1
						I64Add
						Set R7
						Get R6
						Get R9
						I32WrapI64
						I64Load $0
						I64Add
						Get R3
						I64GtS
						Get R4
						Get R6
						I64Add
						I32WrapI64
						I64Load $0
						Get R9
						I32WrapI64
						I64Load $8
						I64Xor
						Get R9
						I32WrapI64
						I64Load $16
						I64And
						I64Const $0
						I64Ne
						I32Or
						If
							I64Const $0
							Set R2
							Br $3
						End
						Get R9
						I32WrapI64
						I64Load $0
						I64Const $8
						I64GtS
						If
							Get R4
							Get R6
							I64Add
							I32WrapI64
							I64Load $8
							Get R9
							I32WrapI64
							I64Load $24
							I64Xor
							Get R9
							I32WrapI64
							I64Load $32
							I64And
							Set R10
							Get R9
							I32WrapI64
							I64Load $40
							Set R11
							I64Const $16
							Set R12
							Block
								Loop
									Get R12
									Get R9
									I32WrapI64
									I64Load $0
									I64LtS
									I32Eqz
									BrIf $1
									Block
										Get R10
										Get R4
										Get R6
										Get R12
										I64Add
										I64Add
										I32WrapI64
										I64Load $0
										Get R11
										I32WrapI64
										I64Load $0
										I64Xor
										Get R11
										I32WrapI64
										I64Load $8
										I64And
										I64Or
										Set R10
										Get R11
										I64Const $16
										I64Add
										Set R11
									End
									Get R12
									I64Const $8
									I64Add
									Set R12
									Br $0
								End
							End
							Get R10
							I64Const $0
							I64Ne
							If
								I64Const $0
								Set R2
								Br $4
							End
						End
						Get R6
						Get R9
						I32WrapI64
						I64Load $0
						I64Add
						Set R6
						Get R9
						I64Const $48
						I64Add
						Set R9
						Block
							Get R4
							Get R6
							I64Add
							I32WrapI64
							I64Load $0
							Set R11
							Get R11
							I64Const $255
							I64And
							Set R12
							I64Const $1099511627776
							Set R13
							Get R12
							I64Const $9
							I64Eq
							If
								Block
									I64Const $1099511627776
									Set R14
									Get R11
									I64Const $33024
									I64And
									I64Eqz
									If
										Get R11
										I64Const $9
										I64ShrU
										I64Const $63
										I64And
										I64Const $2
										I64Add
										Set R14
									Else
										Get R11
										I64Const $8421632
										I64And
										I64Const $32768
										I64Eq
										If
											Get R11
											I64Const $9
											I64ShrU
											I64Const $63
											I64And
											Get R11
											I64Const $10
											I64ShrU
											I64Const $8128
											I64And
											I64Or
											I64Const $3
											I64Add
											Set R14
										End
									End
									Get R14
									Set R13
									Br $0
								End
							Else
								Get R12
								I64Const $2
								I64LeU
								If
									I64Const $1
									Set R13
								Else
									Get R12
									I64Const $6
									I64LeU
									If
										Get R4
										Get R6
										I64Add
										I32WrapI64
										I64Load $1
										I64Const $-1
										I64Xor
										I64Const $-9187201950435737472
										I64And
										I64Ctz
										I64Const $3
										I64ShrS
										I64Const $2
										I64Add
										Set R13
										Get R13
										I64Const $1
										I64Const $1
										Get R12
										I64Const $3
										I64Sub
										I64Shl
										I64Add
										I64GtS
										If
											I64Const $1099511627776
											Set R13
										End
									Else
										Get R12
										I64Const $8
										I64Eq
										If
											I64Const $9
											Set R13
										Else
											Get R12
											I64Const $10
											I64Eq
											If
												Block
													I64Const $1099511627776
													Set R14
													Get R11
													I64Const $33024
													I64And
													I64Eqz
													If
														Get R11
														I64Const $9
														I64ShrU
														I64Const $63
														I64And
														I64Const $2
														I64Add
														Set R14
													Else
														Get R11
														I64Const $8421632
														I64And
														I64Const $32768
														I64Eq
														If
															Get R11
															I64Const $9
															I64ShrU
															I64Const $63
															I64And
															Get R11
															I64Const $10
															I64ShrU
															I64Const $8128
															I64And
															I64Or
															I64Const $3
															I64Add
															Set R14
														End
													End
													Get R14
													Set R13
													Br $0
												End
											End
										End
									End
								End
							End
							Get R13
							Set R10
							Br $0
						End
						Get R10
						I64Const $1099511627776
						I64Eq
						If
							Get PC_B
							Get R7
							I64Store $160
							Get PC_B
							Get R6
							I64Store $168
							I64Const $1
							Set R2
							Br $3
						End
						Get R6
						Get R10
						I64Add
						Set R6
						Br $0
					End
				End
				Get R6
				Get R3
				I64Ne
				If
					I64Const $0
					Set R2
					Br $1
				End
				Get R5
				Get R7
				I64Const $8
				I64Mul
				I64Add
				I32WrapI64
				Get R6
				I64Store $0
				Get PC_B
				I64Load $152
				I32WrapI64
				I64Load $56
				Set R10
				Get PC_B
				I64Load $152
				I32WrapI64
				I64Load $64
				Set R11
				Block
					Loop
						Get R11
						I64Const $0
						I64Ne
						I32Eqz
						BrIf $1
						Block
							Get R10
							I32WrapI64
							I64Load $16
							Get R4
							Get R5
							Get R10
							I32WrapI64
							I64Load $0
							I64Add
							I32WrapI64
							I64Load $0
							Get R10
							I32WrapI64
							I64Load $8
							I64Add
							I64Add
							I32WrapI64
							I64Load8U $0
							I64ShrU
							I64Const $1
							I64And
							I64Eqz
							If
								I64Const $0
								Set R2
								Br $4
							End
							Get R10
							I64Const $24
							I64Add
							Set R10
						End
						Get R11
						I64Const $1
						I64Sub
						Set R11
						Br $0
					End
				End
				Get PC_B
				Get R7
				I64Store $160
				Get PC_B
				Get R6
				I64Store $168
				I64Const $2
				Set R2
				Br $0
			End
			Get R2
			I64Const $2
			I64Eq
			Get PC_B
			I64Load $176
			Get PC_B
			I64Load $152
			I32WrapI64
			I64Load $120
			I64LtS
			I32And
			If
				I64Const $3
				Set R3
				Get R0
				I32WrapI64
				Set SP
				Get SP
				Get R3
				I64Store ret+8(FP)
				RET
			End
			Get R2
			I64Const $2
			I64Ne
			Get PC_B
			I64Load $80
			Get R1
			Get PC_B
			I64Load $176
			I64Add
			Get PC_B
			I64Load $152
			I32WrapI64
			I64Load $112
			I64Shl
			I64Add
			Get PC_B
			I64Load $152
			I32WrapI64
			I64Load $96
			I64Add
			I64Const $64
			I64Add
			Get PC_B
			I64Load $88
			I64GtS
			I32Or
			If
				Get R2
				Set R3
				Get R0
				I32WrapI64
				Set SP
				Get SP
				Get R3
				I64Store ret+8(FP)
				RET
			End
			Get PC_B
			I64Load $80
			Set R3
			Block
				Get PC_B
				I64Load $72
				Set R4
				Get PC_B
				I64Load $80
				Set R5
				Get PC_B
				I64Load $152
				I32WrapI64
				I64Load $80
				Set R6
				Get PC_B
				I64Load $152
				I32WrapI64
				I64Load $88
				Set R7
				Block
					Loop
						Get R7
						I64Const $0
						I64Ne
						I32Eqz
						BrIf $1
						Block
							Get R6
							I32WrapI64
							I64Load $32
							Set R8
							Get R6
							I32WrapI64
							I64Load $40
							Set R9
							Get R6
							I32WrapI64
							I64Load $0
							Set R10
							Get R10
							I64Const $6
							I64Eq
							If
								Get R3
								Set R5
							Else
								Get R10
								I64Const $1
								I64Eq
								If
									Get PC_B
									I64Load $184
									Get R6
									I32WrapI64
									I64Load $8
									I64Add
									I32WrapI64
									I64Load $0
									Get R6
									I32WrapI64
									I64Load $24
									I64Add
									Set R11
									Get PC_B
									I64Load $184
									Get R6
									I32WrapI64
									I64Load $16
									I64Add
									I32WrapI64
									I64Load $0
									Get R11
									I64Sub
									Set R9
									Get PC_B
									I64Load $56
									Get R11
									I64Add
									Set R8
								Else
									Get R10
									I64Const $4
									I64Eq
									If
										Get SP
										I64ExtendI32U
										Get R6
										I32WrapI64
										I64Load $8
										I64Add
										I32WrapI64
										I64Load $0
										Set R11
										Get R6
										I32WrapI64
										I64Load $8
										I64Const $8
										I64Eq
										If
											Get R11
											I64Const $32
											I64Shl
											I64Const $32
											I64ShrS
											Set R11
										End
										I64Const $0
										Set R9
										Get R6
										I32WrapI64
										I64Load $48
										I64Const $0
										I64Ne
										If
											Get R4
											Get R3
											I64Add
											I32WrapI64
											I64Const $2
											Get R11
											I64Const $63
											I64ShrS
											I64Const $255
											I64And
											I64Const $-1
											I64Xor
											I64And
											I64Store8 $0
											Get R3
											I64Const $1
											I64Add
											Set R3
										End
										Get R6
										I32WrapI64
										I64Load $48
										I64Eqz
										Get R11
										I64Const $0
										I64GeS
										I32Or
										If
											Get R11
											I64Const $1
											I64Shl
											Get R11
											I64Const $63
											I64ShrS
											I64Xor
											Set R12
											Block
												Loop
													Get R12
													I64Const $128
													I64GeU
													I32Eqz
													BrIf $1
													Get R4
													Get R3
													I64Add
													I32WrapI64
													Get R12
													I64Const $128
													I64Or
													I64Const $255
													I64And
													I64Store8 $0
													Get R3
													I64Const $1
													I64Add
													Set R3
													Get R12
													I64Const $7
													I64ShrU
													Set R12
													Br $0
												End
											End
											Get R4
											Get R3
											I64Add
											I32WrapI64
											Get R12
											I64Const $255
											I64And
											I64Store8 $0
											Get R3
											I64Const $1
											I64Add
											Set R3
										End
									Else
										Get R10
										I64Const $5
										I64Eq
										If
											Get R8
											I32WrapI64
											I64Load $8
											Set R9
											Get R8
											I32WrapI64
											I64Load $0
											Set R8
										Else
											Get R10
											I64Const $0
											I64Ne
											If
												Get PC_B
												I64Load $184
												Get R6
												I32WrapI64
												I64Load $8
												I64Add
												I32WrapI64
												I64Load $0
												Get R6
												I32WrapI64
												I64Load $24
												I64Add
												Set R11
												Get PC_B
												I64Load $56
												Get R11
												I64Add
												I32WrapI64
												I64Load8U $0
												Set R12
												Get R10
												I64Const $3
												I64Eq
												If
													Get R12
													I64Const $16
													I64Mul
													Set R13
													Get R8
													Get R13
													I64Add
													I32WrapI64
													I64Load $8
													Set R9
													Get R8
													Get R13
													I64Add
													I32WrapI64
													I64Load $0
													Set R8
												Else
													Get R12
													Get R6
													I32WrapI64
													I64Load $48
													I64Ne
													If
														Get PC_B
														I64Load $184
														Get R6
														I32WrapI64
														I64Load $16
														I64Add
														I32WrapI64
														I64Load $0
														Get R11
														I64Sub
														Set R9
														Get PC_B
														I64Load $56
														Get R11
														I64Add
														Set R8
													End
												End
											End
										End
									End
								End
							End
							Get R9
							I64Const $64
							I64GtS
							If
								Get R4
								Get R3
								I64Add
								I32WrapI64
								Get R8
								I64Const $0
								I64Add
								I32WrapI64
								Get R9
								I32WrapI64
								MemoryCopy
							Else
								I64Const $0
								Set R11
								Block
									Loop
										Get R11
										Get R9
										I64LtS
										I32Eqz
										BrIf $1
										Block
											Get R4
											Get R3
											Get R11
											I64Add
											I64Add
											I32WrapI64
											Get R8
											Get R11
											I64Add
											I32WrapI64
											I64Load $0
											I64Store $0
											Get R4
											Get R3
											Get R11
											I64Add
											I64Add
											I32WrapI64
											Get R8
											Get R11
											I64Add
											I32WrapI64
											I64Load $8
											I64Store $8
										End
										Get R11
										I64Const $16
										I64Add
										Set R11
										Br $0
									End
								End
							End
							Get R3
							Get R9
							I64Add
							Set R3
							Get R6
							I64Const $56
							I64Add
							Set R6
						End
						Get R7
						I64Const $1
						I64Sub
						Set R7
						Br $0
					End
				End
				Get PC_B
				I64Load $144
				Set R7
				Block
					Get PC_B
					I64Load $8
					Get PC_B
					I64Load $40
					I64Const $80
					I64Mul
					I64Add
					Set R8
					Get R8
					I32WrapI64
					Get PC_B
					I64Load $32
					Get PC_B
					I64Load $16
					I64Add
					Get PC_B
					I64Load $112
					I64Const $32
					I64Shl
					I64Or
					I64Store $0
					Get R8
					I32WrapI64
					Get SP
					I64Load $8
					I64Store $8
					Get R8
					I32WrapI64
					Get SP
					I64Load $16
					I64Store $16
					Get R8
					I32WrapI64
					Get SP
					I64Load $24
					I64Store $24
					Get PC_B
					I64Load $152
					I32WrapI64
					I64Load $104
					Set R9
					Get R9
					I64Const $0
					I64Ne
					If
						Get R8
						I32WrapI64
						Get R9
						I64Store $32
						Get R8
						I32WrapI64
						Get PC_B
						I64Load $80
						Get R5
						Get PC_B
						I64Load $80
						I64Sub
						I64Const $32
						I64Shl
						I64Or
						I64Store $40
					Else
						Get R8
						I32WrapI64
						Get SP
						I64Load $32
						I64Const $-4294967296
						I64And
						I64Const $1
						I64Or
						I64Store $32
						Get R8
						I32WrapI64
						I64Const $0
						I64Store $40
					End
					Get R8
					I32WrapI64
					Get R7
					I64Store $48
					Get R8
					I32WrapI64
					Get R5
					Get R3
					Get R5
					I64Sub
					I64Const $32
					I64Shl
					I64Or
					I64Store $56
					Get R8
					I32WrapI64
					I64Const $1
					I64Store $64
					Get R8
					I32WrapI64
					I64Const $0
					I64Store $72
					Get PC_B
					Get R3
					I64Store $80
					Get PC_B
					Get PC_B
					I64Load $16
					I64Const $1
					I64Add
					I64Store $16
					Get PC_B
					Get PC_B
					I64Load $40
					I64Const $1
					I64Add
					I64Store $40
					Get PC_B
					I64Const $0
					I64Store $160
					Get PC_B
					I64Const $0
					I64Store $176
				End
			End
			Br $0
		End
	End
	I64Const $0
	Set R1
	Get R0
	I32WrapI64
	Set SP
	Get SP
	Get R1
	I64Store ret+8(FP)
	RET
	Unreachable
	RET
