// Made by plugins/assembler from kernel.go. DO NOT EDIT.

//go:build !stock

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
	Tee R3
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
					Tee R3
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
					Tee R3
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
					Tee R3
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

TEXT ·Values(SB), NOSPLIT, $0-16
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
			Block
				Get SP
				I64Load $56
				I64Const $32
				I64ShrU
				Set R2
				Get SP
				I64Load $56
				I64Const $4294967295
				I64And
				Get R2
				I64Add
				Set R3
				I64Const $0
				Set R4
				Get PC_B
				I64Load $152
				I32WrapI64
				I64Load $16
				I64Const $0
				I64Ne
				If
					Block
						Get PC_B
						I64Load $56
						Set R5
						Get PC_B
						I64Load $184
						Set R6
						Get PC_B
						I64Load $168
						Set R7
						Get PC_B
						I64Load $160
						Tee R8
						I64Eqz
						If
							Get PC_B
							I64Load $152
							Set R9
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
								Set R4
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
							Get R9
							I32WrapI64
							I64Load $72
							I64Ne
							If
								I64Const $0
								Set R4
								Br $2
							End
							Get SP
							I64Load $56
							I64Const $4294967295
							I64And
							Set R7
							Get R5
							Get R7
							I64Add
							I32WrapI64
							I64Load $0
							Get R9
							I32WrapI64
							I64Load $32
							I64Xor
							Get R9
							I32WrapI64
							I64Load $40
							I64And
							I64Const $0
							I64Ne
							If
								I64Const $0
								Set R4
								Br $2
							End
							Get R7
							Get R9
							I32WrapI64
							I64Load $48
							I64Add
							Set R7
						End
						Get PC_B
						I64Load $152
						I32WrapI64
						I64Load $24
						Set R9
						Get PC_B
						I64Load $152
						I32WrapI64
						I64Load $16
						Get R8
						I64Const $48
						I64Mul
						I64Add
						Set R10
						Block
							Loop
								Get R8
								Get R9
								I64LtS
								I32Eqz
								BrIf $1
								Get R6
								Get R8
								I64Const $8
								I64Mul
								I64Add
								I32WrapI64
								Get R7
								I64Store $0
								Get R8
								I64Const $1
								I64Add
								Set R8
								Get R7
								Get R10
								I32WrapI64
								I64Load $0
								I64Add
								Get R3
								I64GtS
								Get R5
								Get R7
								I64Add
								I32WrapI64
								I64Load $0
								Get R10
								I32WrapI64
								I64Load $8
								I64Xor
								Get R10
								I32WrapI64
								I64Load $16
								I64And
								I64Const $0
								I64Ne
								I32Or
								If
									I64Const $0
									Set R4
									Br $3
								End
								Get R10
								I32WrapI64
								I64Load $0
								I64Const $8
								I64GtS
								If
									Get R5
									Get R7
									I64Add
									I32WrapI64
									I64Load $8
									Get R10
									I32WrapI64
									I64Load $24
									I64Xor
									Get R10
									I32WrapI64
									I64Load $32
									I64And
									Set R11
									Get R10
									I32WrapI64
									I64Load $40
									Set R12
									I64Const $16
									Set R13
									Block
										Loop
											Get R13
											Get R10
											I32WrapI64
											I64Load $0
											I64LtS
											I32Eqz
											BrIf $1
											Block
												Get R11
												Get R5
												Get R7
												Get R13
												I64Add
												I64Add
												I32WrapI64
												I64Load $0
												Get R12
												I32WrapI64
												I64Load $0
												I64Xor
												Get R12
												I32WrapI64
												I64Load $8
												I64And
												I64Or
												Set R11
												Get R12
												I64Const $16
												I64Add
												Set R12
											End
											Get R13
											I64Const $8
											I64Add
											Set R13
											Br $0
										End
									End
									Get R11
									I64Const $0
									I64Ne
									If
										I64Const $0
										Set R4
										Br $4
									End
								End
								Get R7
								Get R10
								I32WrapI64
								I64Load $0
								I64Add
								Set R7
								Get R10
								I64Const $48
								I64Add
								Set R10
								Block
									Get R5
									Get R7
									I64Add
									I32WrapI64
									I64Load $0
									Tee R12
									I64Const $255
									I64And
									Set R13
									I64Const $1099511627776
									Set R14
									Get R13
									I64Const $9
									I64Eq
									If
										Block
											I64Const $1099511627776
											Set R15
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
												Set R15
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
													Set R15
												End
											End
											Get R15
											Set R14
											Br $0
										End
									Else
										Get R13
										I64Const $2
										I64LeU
										If
											I64Const $1
											Set R14
										Else
											Get R13
											I64Const $6
											I64LeU
											If
												Get R5
												Get R7
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
												Tee R14
												I64Const $1
												I64Const $1
												Get R13
												I64Const $3
												I64Sub
												I64Shl
												I64Add
												I64GtS
												If
													I64Const $1099511627776
													Set R14
												End
											Else
												Get R13
												I64Const $8
												I64Eq
												If
													I64Const $9
													Set R14
												Else
													Get R13
													I64Const $10
													I64Eq
													If
														Block
															I64Const $1099511627776
															Set R15
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
																Set R15
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
																	Set R15
																End
															End
															Get R15
															Set R14
															Br $0
														End
													End
												End
											End
										End
									End
									Get R14
									Set R11
									Br $0
								End
								Get R11
								I64Const $1099511627776
								I64Eq
								If
									Get PC_B
									Get R8
									I64Store $160
									Get PC_B
									Get R7
									I64Store $168
									I64Const $1
									Set R4
									Br $3
								End
								Get R7
								Get R11
								I64Add
								Set R7
								Br $0
							End
						End
						Get R7
						Get R3
						I64Ne
						If
							I64Const $0
							Set R4
							Br $1
						End
						Get R6
						Get R8
						I64Const $8
						I64Mul
						I64Add
						I32WrapI64
						Get R7
						I64Store $0
						Get PC_B
						I64Load $152
						I32WrapI64
						I64Load $56
						Set R11
						Get PC_B
						I64Load $152
						I32WrapI64
						I64Load $64
						Set R12
						Block
							Loop
								Get R12
								I64Const $0
								I64Ne
								I32Eqz
								BrIf $1
								Block
									Get R11
									I32WrapI64
									I64Load $16
									Get R5
									Get R6
									Get R11
									I32WrapI64
									I64Load $0
									I64Add
									I32WrapI64
									I64Load $0
									Get R11
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
										Set R4
										Br $4
									End
									Get R11
									I64Const $24
									I64Add
									Set R11
								End
								Get R12
								I64Const $1
								I64Sub
								Set R12
								Br $0
							End
						End
						Get PC_B
						Get R8
						I64Store $160
						Get PC_B
						Get R7
						I64Store $168
						I64Const $2
						Set R4
						Br $0
					End
				Else
					Get PC_B
					I64Load $152
					I32WrapI64
					I64Load $128
					I64Eqz
					If
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
									Set R4
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
								Tee R5
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
									Get R5
									I64Ne
									If
										I64Const $0
										Set R4
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
								Set R6
								Get PC_B
								I64Load $184
								Set R7
								Get PC_B
								I64Load $152
								I32WrapI64
								I64Load $0
								Set R8
								Get PC_B
								I64Load $168
								Set R9
								Get PC_B
								I64Load $160
								Set R10
								Get R8
								Get R10
								I64Const $8
								I64Mul
								I64Add
								I32WrapI64
								I64Load $0
								Set R11
								Block
									Loop
										Get R11
										I64Const $254
										I64And
										I64Const $6
										I64Ne
										I32Eqz
										BrIf $1
										Get R11
										I64Const $65536
										I64GeU
										If
											Get R11
											I64Const $16
											I64ShrU
											Set R11
											Get R7
											Get R10
											I64Const $8
											I64Mul
											I64Add
											Set R12
											Get R10
											Get R11
											I64Add
											Set R10
											Block
												Loop
													Get R11
													I64Const $0
													I64Ne
													I32Eqz
													BrIf $1
													Get R12
													I32WrapI64
													Get R9
													I64Store $0
													Get R6
													Get R9
													I64Add
													I32WrapI64
													I64Load $0
													Set R13
													I64Const $1
													Set R14
													Get R13
													I64Const $255
													I64And
													I64Const $2
													I64Eq
													If
														Block
															I64Const $1099511627776
															Set R15
															Get R13
															I64Const $33024
															I64And
															I64Eqz
															If
																Get R13
																I64Const $9
																I64ShrU
																I64Const $63
																I64And
																I64Const $2
																I64Add
																Set R15
															Else
																Get R13
																I64Const $8421632
																I64And
																I64Const $32768
																I64Eq
																If
																	Get R13
																	I64Const $9
																	I64ShrU
																	I64Const $63
																	I64And
																	Get R13
																	I64Const $10
																	I64ShrU
																	I64Const $8128
																	I64And
																	I64Or
																	I64Const $3
																	I64Add
																	Set R15
																End
															End
															Get R15
															Set R14
															Br $0
														End
													Else
														Get R13
														I64Const $255
														I64And
														I64Const $0
														I64Ne
														If
															I64Const $1099511627776
															Set R14
														End
													End
													Get R9
													Get R14
													I64Add
													Tee R9
													Get R3
													I64GtS
													If
														I64Const $0
														Set R5
														Br $6
													End
													Get R12
													I64Const $8
													I64Add
													Set R12
													Get R11
													I64Const $1
													I64Sub
													Set R11
													Br $0
												End
											End
											Get R8
											Get R10
											I64Const $8
											I64Mul
											I64Add
											I32WrapI64
											I64Load $0
											Set R11
											Br $1
										End
										Get R7
										Get R10
										I64Const $8
										I64Mul
										I64Add
										I32WrapI64
										Get R9
										I64Store $0
										Get R10
										I64Const $1
										I64Add
										Set R10
										Get R11
										I64Const $8
										I64And
										I64Const $0
										I64Ne
										If
											Get R6
											Get R9
											I64Add
											I32WrapI64
											I64Load8U $0
											Tee R12
											I64Const $2
											I64Const $-1
											I64Xor
											I64And
											I64Const $0
											I64Ne
											If
												I64Const $0
												Set R5
												Br $4
											End
											Get R9
											I64Const $1
											I64Add
											Set R9
											Get R12
											Get R11
											I64Const $8
											I64ShrU
											I64Const $255
											I64And
											I64Ne
											If
												Get R9
												Get R3
												I64GtS
												If
													I64Const $0
													Set R5
													Br $5
												End
												Get R8
												Get R10
												I64Const $8
												I64Mul
												I64Add
												I32WrapI64
												I64Load $0
												Set R11
												Br $2
											End
											Get R11
											I64Const $7
											I64And
											Set R11
										End
										Get R11
										I64Eqz
										If
											Get R6
											Get R9
											I64Add
											I32WrapI64
											I64Load8U $0
											Set R12
											Get R9
											I64Const $1
											I64Add
											Set R9
											Get R12
											I64Const $128
											I64GeU
											If
												Get R6
												Get R9
												I64Add
												I32WrapI64
												I64Load8U $0
												Tee R13
												I64Const $128
												I64GeU
												If
													I64Const $0
													Set R5
													Br $5
												End
												Get R12
												I64Const $127
												I64And
												Get R13
												I64Const $7
												I64Shl
												I64Or
												Set R12
												Get R9
												I64Const $1
												I64Add
												Set R9
											End
											Get R12
											I64Const $1
											I64And
											I64Const $0
											I64Ne
											If
												I64Const $0
												Set R5
												Br $4
											End
											Get R9
											Get R12
											I64Const $1
											I64ShrU
											I64Add
											Set R9
										Else
											Get R11
											I64Const $1
											I64Eq
											If
												Get R6
												Get R9
												I64Add
												I32WrapI64
												I64Load $0
												I64Const $-1
												I64Xor
												I64Const $-9187201950435737472
												I64And
												Tee R12
												I64Eqz
												If
													I64Const $0
													Set R5
													Br $5
												End
												Get R9
												Get R12
												I64Ctz
												I64Const $3
												I64ShrS
												I64Const $1
												I64Add
												I64Add
												Set R9
											Else
												Get R11
												I64Const $2
												I64Eq
												If
													Get R6
													Get R9
													I64Add
													I32WrapI64
													I64Load8U $0
													I64Const $1
													I64GtU
													If
														I64Const $0
														Set R5
														Br $6
													End
													Get R9
													I64Const $1
													I64Add
													Set R9
												Else
													Get R11
													I64Const $3
													I64Eq
													If
														Get R9
														I64Const $4
														I64Add
														Set R9
													Else
														Get R11
														I64Const $4
														I64Eq
														If
															Get R9
															I64Const $8
															I64Add
															Set R9
														Else
															Get PC_B
															Get R10
															I64Store $160
															Get PC_B
															Get R9
															I64Store $168
															I64Const $1
															Set R5
															Br $7
														End
													End
												End
											End
										End
										Get R9
										Get R3
										I64GtS
										If
											I64Const $0
											Set R5
											Br $3
										End
										Get R8
										Get R10
										I64Const $8
										I64Mul
										I64Add
										I32WrapI64
										I64Load $0
										Set R11
										Br $0
									End
								End
								Get R11
								I64Const $6
								I64Ne
								If
									Get R9
									Get R3
									I64GtS
									If
										I64Const $0
										Set R5
										Br $2
									End
									Get R7
									Get R11
									I64Const $8
									I64ShrU
									I64Const $8
									I64Mul
									I64Add
									I32WrapI64
									Get R3
									I64Store $0
								Else
									Get R9
									Get R3
									I64Ne
									If
										I64Const $0
										Set R5
										Br $2
									End
								End
								Get R7
								Get R10
								I64Const $8
								I64Mul
								I64Add
								I32WrapI64
								Get R9
								I64Store $0
								Get PC_B
								Get R10
								I64Store $160
								Get PC_B
								Get R9
								I64Store $168
								I64Const $2
								Set R5
								Br $0
							End
							Get R5
							Set R4
							Br $0
						End
					Else
						Block
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
								Set R4
								Br $1
							End
							Get SP
							I64Load $56
							I64Const $4294967295
							I64And
							Set R5
							Get PC_B
							I64Load $152
							I32WrapI64
							I64Load $8
							Tee R6
							I64Const $0
							I64Ne
							If
								Get R5
								Get R3
								I64Eq
								Get PC_B
								I64Load $56
								Get R5
								I64Add
								I32WrapI64
								I64Load8U $0
								I64Const $1
								I64Add
								Get R6
								I64Ne
								I32Or
								If
									I64Const $0
									Set R4
									Br $2
								End
								Get R5
								I64Const $1
								I64Add
								Set R5
							End
							Get PC_B
							Get R5
							I64Store $80
							I64Const $2
							Set R4
							Br $0
						End
					End
				End
				Get R4
				I64Const $2
				I64Eq
				Get PC_B
				I64Load $152
				I32WrapI64
				I64Load $128
				I64Const $0
				I64Ne
				I32And
				If
					Get PC_B
					I64Load $152
					I32WrapI64
					I64Load $16
					I64Const $0
					I64Ne
					If
						Get PC_B
						Get R3
						Get R2
						I64Sub
						I64Store $80
						Get PC_B
						I64Load $56
						Get PC_B
						I64Load $80
						I64Add
						I32WrapI64
						Get PC_B
						I64Load $152
						I32WrapI64
						I64Load $136
						I64Const $255
						I64And
						I64Store8 $1
					End
					Get PC_B
					Get R3
					I64Store $192
					I64Const $-1
					Set R1
					Br $1
				End
				Get R4
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
					Set R1
					Br $1
				End
				Get PC_B
				Get PC_B
				I64Load $80
				I64Store $192
				Get R2
				Get SP
				I64Load $72
				I64Const $32
				I64ShrU
				Get PC_B
				I64Load $176
				I64Add
				I64Add
				Set R2
				Get R4
				I64Const $2
				I64Eq
				Get PC_B
				I64Load $80
				Get R2
				Get PC_B
				I64Load $152
				I32WrapI64
				I64Load $112
				I64Shl
				I64Add
				Get PC_B
				I64Load $152
				I32WrapI64
				I64Load $88
				I64Add
				I64Const $64
				I64Add
				Get PC_B
				I64Load $88
				I64LeS
				I32And
				If
					I64Const $-1
					Set R1
					Br $1
				End
				Get R4
				Set R1
				Br $0
			End
			Get R1
			I64Const $-1
			I64Ne
			If
				Get R1
				Set R2
				Get R0
				I32WrapI64
				Set SP
				Get SP
				Get R2
				I64Store ret+8(FP)
				RET
			End
			Get PC_B
			I64Load $192
			Set R2
			Block
				Get PC_B
				I64Load $72
				Set R3
				Get PC_B
				Get PC_B
				I64Load $80
				I64Store $200
				Get PC_B
				Get PC_B
				I64Load $80
				I64Store $208
				Get PC_B
				I64Load $152
				I32WrapI64
				I64Load $80
				Set R4
				Block
					Loop
						Get R4
						I32WrapI64
						I64Load $0
						I64Const $10
						I64Ne
						I32Eqz
						BrIf $1
						Get R4
						I32WrapI64
						I64Load $32
						Set R5
						Get R4
						I32WrapI64
						I64Load $40
						Set R6
						Get R4
						I32WrapI64
						I64Load $0
						I64Const $1
						I64Eq
						If
							Get PC_B
							I64Load $184
							Get R4
							I32WrapI64
							I64Load $8
							I64Add
							I32WrapI64
							I64Load $0
							Get R4
							I32WrapI64
							I64Load $24
							I64Add
							Set R7
							Get PC_B
							I64Load $184
							Get R4
							I32WrapI64
							I64Load $16
							I64Add
							I32WrapI64
							I64Load $0
							Get R7
							I64Sub
							Set R6
							Get PC_B
							I64Load $56
							Get R7
							I64Add
							Set R5
						Else
							Get R4
							I32WrapI64
							I64Load $0
							I64Const $0
							I64Ne
							If
								Get R4
								I32WrapI64
								I64Load $0
								I64Const $4
								I64Eq
								If
									Get SP
									I64ExtendI32U
									Get R4
									I32WrapI64
									I64Load $8
									I64Add
									I32WrapI64
									I64Load $0
									Set R7
									Get R4
									I32WrapI64
									I64Load $8
									I64Const $8
									I64Eq
									If
										Get R7
										I64Const $32
										I64Shl
										I64Const $32
										I64ShrS
										Set R7
									End
									Get R6
									I64Const $0
									I64Ne
									Get R7
									I64Const $0
									I64LtS
									I32And
									If
										I64Const $0
										Set R1
										Br $6
									End
									I64Const $0
									Set R6
									Get R4
									I32WrapI64
									I64Load $48
									I64Const $0
									I64Ne
									If
										Get R3
										Get R2
										I64Add
										I32WrapI64
										I64Const $2
										Get R7
										I64Const $63
										I64ShrS
										I64Const $255
										I64And
										I64Const $-1
										I64Xor
										I64And
										I64Store8 $0
										Get R2
										I64Const $1
										I64Add
										Set R2
									End
									Get R7
									I64Const $0
									I64GeS
									If
										Get R7
										I64Const $1
										I64Shl
										Set R8
										Block
											Block
												Loop
													Get R8
													I64Const $128
													I64GeU
													I32Eqz
													BrIf $1
													Get R3
													Get R2
													I64Add
													I32WrapI64
													Get R8
													I64Const $128
													I64Or
													I64Const $255
													I64And
													I64Store8 $0
													Get R2
													I64Const $1
													I64Add
													Set R2
													Get R8
													I64Const $7
													I64ShrU
													Set R8
													Br $0
												End
											End
											Get R3
											Get R2
											I64Add
											I32WrapI64
											Get R8
											I64Const $255
											I64And
											I64Store8 $0
											Get R2
											I64Const $1
											I64Add
											Set R2
											Br $0
										End
									End
								Else
									Get R4
									I32WrapI64
									I64Load $0
									I64Const $5
									I64Eq
									If
										Get PC_B
										I64Load $176
										I64Const $0
										I64Ne
										If
											Get R5
											I32WrapI64
											I64Load $8
											Set R6
											Get R5
											I32WrapI64
											I64Load $0
											Set R5
										Else
											Block
												Get PC_B
												I64Load $56
												Get PC_B
												I64Load $184
												Get R4
												I32WrapI64
												I64Load $8
												I64Add
												I32WrapI64
												I64Load $0
												Get R4
												I32WrapI64
												I64Load $24
												I64Add
												I64Add
												Set R7
												Get R4
												I32WrapI64
												I64Load $56
												I64Eqz
												If
													I64Const $0
													Set R2
													Br $1
												End
												Get R4
												I32WrapI64
												I64Load $56
												I64Const $8
												I64ShrU
												I64Const $1
												I64And
												I64Const $0
												I64Ne
												If
													Get R7
													I32WrapI64
													I64Load8U $0
													Tee R8
													Get R4
													I32WrapI64
													I64Load $56
													I64Const $16
													I64ShrU
													I64Const $255
													I64And
													I64Ne
													If
														Get R8
														Get R4
														I32WrapI64
														I64Load $56
														I64Const $32
														I64ShrU
														I64Const $255
														I64And
														I64Ne
														If
															I64Const $0
															Set R2
															Br $3
														End
														Get R3
														Get R2
														I64Add
														I32WrapI64
														Get R4
														I32WrapI64
														I64Load $56
														I64Const $40
														I64ShrU
														I64Const $255
														I64And
														I64Store8 $0
														Get R2
														I64Const $1
														I64Add
														Set R2
														Br $2
													End
													Get R3
													Get R2
													I64Add
													I32WrapI64
													Get R4
													I32WrapI64
													I64Load $56
													I64Const $24
													I64ShrU
													I64Const $255
													I64And
													I64Store8 $0
													Get R2
													I64Const $1
													I64Add
													Set R2
													Get R7
													I64Const $1
													I64Add
													Set R7
												End
												Get R4
												I32WrapI64
												I64Load $56
												I64Const $255
												I64And
												I64Const $4
												I64Eq
												If
													Get R7
													I32WrapI64
													I64Load $0
													Set R9
													Block
														Get R9
														I64Const $9223372036854775807
														I64And
														I64Const $4035225266123964416
														I64Sub
														Set R10
														Get R9
														I64Const $1
														I64Shl
														I64Eqz
														If
															I64Const $0
															Set R10
														Else
															Get R10
															I64Const $4503599627370496
															I64Sub
															I64Const $1139410705724735488
															I64GeU
															If
																I64Const $1099511627776
																Set R8
																Br $2
															End
														End
														Get R9
														I64Const $63
														I64ShrU
														I64Const $31
														I64Shl
														Get R10
														I64Const $268435456
														I64Add
														I64Const $1
														I64Sub
														Get R10
														I64Const $29
														I64ShrU
														I64Const $1
														I64And
														I64Add
														I64Const $29
														I64ShrU
														I64Or
														Set R8
														Br $0
													End
													Get R8
													I64Const $1099511627776
													I64Eq
													If
														I64Const $0
														Set R2
														Br $2
													End
													Get R3
													Get R2
													I64Add
													I32WrapI64
													Get R8
													I64Store $0
													Get R2
													I64Const $4
													I64Add
													Set R2
													Br $1
												End
												Get R7
												Set R9
												Block
													I64Const $0
													Set R10
													I64Const $0
													Set R11
													Block
														Loop
															Get R9
															I32WrapI64
															I64Load8U $0
															I64Const $128
															I64GeU
															I32Eqz
															BrIf $1
															Get R10
															Get R9
															I32WrapI64
															I64Load8U $0
															I64Const $127
															I64And
															Get R11
															I64Shl
															I64Or
															Set R10
															Get R11
															I64Const $7
															I64Add
															Set R11
															Get R9
															I64Const $1
															I64Add
															Set R9
															Br $0
														End
													End
													Get R10
													Get R9
													I32WrapI64
													I64Load8U $0
													Get R11
													I64Shl
													I64Or
													Tee R10
													I64Const $1
													I64ShrU
													I64Const $0
													Get R10
													I64Const $1
													I64And
													I64Sub
													I64Xor
													Set R8
													Br $0
												End
												Get R8
												Get R4
												I32WrapI64
												I64Load $56
												I64Const $48
												I64ShrU
												I64Const $255
												I64And
												I64Shl
												Get R4
												I32WrapI64
												I64Load $56
												I64Const $48
												I64ShrU
												I64Const $255
												I64And
												I64ShrS
												Get R8
												I64Ne
												If
													I64Const $0
													Set R2
													Br $1
												End
												Get R4
												I32WrapI64
												I64Load $56
												I64Const $255
												I64And
												I64Const $1
												I64Eq
												If
													Get R8
													Get R4
													I32WrapI64
													I64Load $56
													I64Const $56
													I64ShrU
													I64Shl
													Get R4
													I32WrapI64
													I64Load $56
													I64Const $56
													I64ShrU
													I64ShrS
													Tee R8
													I64Const $1
													I64Shl
													Get R8
													I64Const $63
													I64ShrS
													I64Xor
													Set R9
													Block
														Block
															Loop
																Get R9
																I64Const $128
																I64GeU
																I32Eqz
																BrIf $1
																Get R3
																Get R2
																I64Add
																I32WrapI64
																Get R9
																I64Const $128
																I64Or
																I64Const $255
																I64And
																I64Store8 $0
																Get R2
																I64Const $1
																I64Add
																Set R2
																Get R9
																I64Const $7
																I64ShrU
																Set R9
																Br $0
															End
														End
														Get R3
														Get R2
														I64Add
														I32WrapI64
														Get R9
														I64Const $255
														I64And
														I64Store8 $0
														Get R2
														I64Const $1
														I64Add
														Set R2
														Br $0
													End
												Else
													Get R4
													I32WrapI64
													I64Load $56
													I64Const $255
													I64And
													I64Const $2
													I64Eq
													If
														Block
															Get R8
															Get R8
															I64Const $63
															I64ShrS
															I64Xor
															Get R8
															I64Const $63
															I64ShrU
															I64Add
															Set R9
															I64Const $1
															Set R10
															I64Const $10
															Set R11
															Block
																Loop
																	Get R9
																	Get R11
																	I64GeU
																	I32Eqz
																	BrIf $1
																	Block
																		Get R10
																		I64Const $1
																		I64Add
																		Set R10
																	End
																	Get R11
																	I64Const $10
																	I64Mul
																	Set R11
																	Br $0
																End
															End
															Get R8
															I64Const $0
															I64LtS
															If
																Get R3
																Get R2
																I64Add
																I32WrapI64
																Get R10
																I64Const $1
																I64Shl
																I64Const $2
																I64Add
																I64Const $255
																I64And
																I64Store8 $0
																Get R3
																Get R2
																I64Add
																I32WrapI64
																I64Const $45
																I64Store8 $1
																Get R2
																I64Const $1
																I64Add
																Set R2
															Else
																Get R3
																Get R2
																I64Add
																I32WrapI64
																Get R10
																I64Const $1
																I64Shl
																I64Const $255
																I64And
																I64Store8 $0
															End
															Get R2
															Get R10
															I64Add
															Set R11
															Block
																Loop
																	Get R11
																	Get R2
																	I64GtS
																	I32Eqz
																	BrIf $1
																	Block
																		Get R9
																		I64Const $3435973837
																		I64Mul
																		I64Const $35
																		I64ShrU
																		Set R12
																		Get R9
																		I64Const $32
																		I64ShrU
																		I64Const $0
																		I64Ne
																		If
																			Get R9
																			I64Const $10
																			I64DivU
																			Set R12
																		End
																		Get R3
																		Get R11
																		I64Add
																		I32WrapI64
																		I64Const $48
																		Get R9
																		I64Add
																		Get R12
																		I64Const $10
																		I64Mul
																		I64Sub
																		I64Const $255
																		I64And
																		I64Store8 $0
																		Get R12
																		Set R9
																	End
																	Get R11
																	I64Const $1
																	I64Sub
																	Set R11
																	Br $0
																End
															End
															Get R2
															Get R10
															I64Add
															I64Const $1
															I64Add
															Set R2
															Br $0
														End
													Else
														Get R8
														I64Const $-12219292800000
														I64LtS
														Get R8
														I64Const $253402300800000
														I64GeS
														I32Or
														If
															I64Const $0
															Set R2
															Br $3
														End
														Get R8
														I64Const $62162035200000
														I64Add
														Set R9
														Block
															Get R9
															I64Const $86400000
															I64DivU
															Set R10
															Get R9
															Get R10
															I64Const $86400000
															I64Mul
															I64Sub
															Set R9
															Get PC_B
															Get R9
															I64Const $3600000
															I64DivU
															I64Store $240
															Get PC_B
															Get R9
															I64Const $60000
															I64DivU
															I64Const $60
															I64RemU
															I64Store $248
															Get PC_B
															Get R9
															I64Const $1000
															I64DivU
															I64Const $60
															I64RemU
															I64Store $256
															Get PC_B
															Get R9
															I64Const $1000
															I64RemU
															I64Store $264
															Get R10
															I64Const $146097
															I64DivU
															Set R11
															Get R10
															Get R11
															I64Const $146097
															I64Mul
															I64Sub
															Tee R10
															Get R10
															I64Const $1460
															I64DivU
															I64Sub
															Get R10
															I64Const $36524
															I64DivU
															I64Add
															Get R10
															I64Const $146096
															I64DivU
															I64Sub
															I64Const $365
															I64DivU
															Set R12
															Get R10
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
															I64Sub
															Set R10
															I64Const $5
															Get R10
															I64Mul
															I64Const $2
															I64Add
															I64Const $153
															I64DivU
															Set R13
															Get PC_B
															Get R10
															I64Const $153
															Get R13
															I64Mul
															I64Const $2
															I64Add
															I64Const $5
															I64DivU
															I64Sub
															I64Const $1
															I64Add
															I64Store $232
															Get R12
															Get R11
															I64Const $400
															I64Mul
															I64Add
															Set R12
															Get R13
															I64Const $3
															I64Add
															Tee R13
															I64Const $12
															I64GtU
															If
																Get R13
																I64Const $12
																I64Sub
																Set R13
																Get R12
																I64Const $1
																I64Add
																Set R12
															End
															Get PC_B
															Get R12
															I64Store $216
															Get PC_B
															Get R13
															I64Store $224
														End
														Get R4
														I32WrapI64
														I64Load $64
														Set R9
														Block
															I64Const $0
															Set R10
															Block
																Loop
																	Get R10
																	Get R9
																	I32WrapI64
																	I64Load $0
																	I64LtS
																	I32Eqz
																	BrIf $1
																	Block
																		Get R3
																		Get R2
																		I64Const $1
																		I64Add
																		Get R10
																		I64Add
																		I64Add
																		I32WrapI64
																		Get R9
																		I64Const $136
																		Get R10
																		I64Add
																		I64Add
																		I32WrapI64
																		I64Load $0
																		I64Store $0
																	End
																	Get R10
																	I64Const $8
																	I64Add
																	Set R10
																	Br $0
																End
															End
															Get R3
															Get R2
															I64Add
															I32WrapI64
															Get R9
															I32WrapI64
															I64Load $0
															I64Const $1
															I64Shl
															I64Const $255
															I64And
															I64Store8 $0
															Get R9
															Set R10
															Block
																Loop
																	Get R10
																	I32WrapI64
																	I64Load $8
																	I64Const $0
																	I64Ne
																	I32Eqz
																	BrIf $1
																	Block
																		Get R10
																		I32WrapI64
																		I64Load $8
																		Set R11
																		Get PC_B
																		I64ExtendI32U
																		I64Const $216
																		Get R11
																		I64Const $255
																		I64And
																		I64Const $8
																		I64Mul
																		I64Add
																		I64Add
																		I32WrapI64
																		I64Load $0
																		Set R12
																		Get R2
																		I64Const $1
																		I64Add
																		Get R11
																		I64Const $8
																		I64ShrU
																		I64Const $255
																		I64And
																		I64Add
																		Set R13
																		Block
																			Loop
																				Get R11
																				I64Const $65536
																				I64GeU
																				I32Eqz
																				BrIf $1
																				Get R12
																				I64Const $3435973837
																				I64Mul
																				I64Const $35
																				I64ShrU
																				Set R14
																				Get R3
																				Get R13
																				I64Add
																				I32WrapI64
																				I64Const $48
																				Get R12
																				I64Add
																				Get R14
																				I64Const $10
																				I64Mul
																				I64Sub
																				I64Const $255
																				I64And
																				I64Store8 $0
																				Get R14
																				Set R12
																				Get R13
																				I64Const $1
																				I64Sub
																				Set R13
																				Get R11
																				I64Const $65536
																				I64Sub
																				Set R11
																				Br $0
																			End
																		End
																	End
																	Get R10
																	I64Const $8
																	I64Add
																	Set R10
																	Br $0
																End
															End
															Get R2
															I64Const $1
															I64Add
															Get R9
															I32WrapI64
															I64Load $0
															I64Add
															Set R2
															Br $0
														End
													End
												End
												Get R2
												Set R2
												Br $0
											End
											Get R2
											I64Eqz
											If
												I64Const $3
												Set R1
												Br $8
											End
										End
									Else
										Get R4
										I32WrapI64
										I64Load $0
										I64Const $6
										I64Eq
										If
											Get PC_B
											Get R2
											I64Store $200
											Get PC_B
											Get R2
											I64Store $208
										Else
											Get R4
											I32WrapI64
											I64Load $0
											I64Const $7
											I64Eq
											If
												Get PC_B
												Get R2
												I64Store $208
											Else
												Get R4
												I32WrapI64
												I64Load $0
												I64Const $8
												I64Eq
												If
													Get R6
													Set R7
													I64Const $0
													Set R6
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
														Set R8
														Get SP
														I64Load $72
														I64Const $32
														I64ShrU
														I64Const $1
														I64Sub
														Set R6
														Get PC_B
														I64Load $56
														Get R8
														I64Add
														I32WrapI64
														I64Load8U $0
														Set R9
														Get R7
														Get R9
														I64Const $1
														I64ShrU
														I64Add
														Set R7
														Get R8
														Get R6
														I64Add
														Get PC_B
														I64Load $64
														I64GeS
														Get R9
														I64Const $129
														I64And
														I64Const $0
														I64Ne
														I32Or
														Get R6
														I64Const $0
														I64LtS
														I32Or
														If
															I64Const $0
															Set R1
															Br $11
														End
														Get PC_B
														I64Load $56
														Get R8
														I64Const $1
														I64Add
														I64Add
														Set R5
													End
													Get R7
													I64Const $64
													I64GeU
													If
														I64Const $0
														Set R1
														Br $10
													End
													Get R3
													Get R2
													I64Add
													I32WrapI64
													Get R7
													I64Const $1
													I64Shl
													I64Const $255
													I64And
													I64Store8 $0
													Get R2
													I64Const $1
													I64Add
													Set R2
												Else
													Get R4
													I32WrapI64
													I64Load $0
													I64Const $9
													I64Eq
													If
														Get PC_B
														I64Load $184
														Get R4
														I32WrapI64
														I64Load $8
														I64Add
														I32WrapI64
														I64Load $0
														Get R4
														I32WrapI64
														I64Load $24
														I64Add
														Set R7
														Get PC_B
														I64Load $184
														Get R4
														I32WrapI64
														I64Load $16
														I64Add
														I32WrapI64
														I64Load $0
														Get R7
														I64Sub
														Set R6
														Get PC_B
														I64Load $56
														Get R7
														I64Add
														Set R5
														Get R6
														I64Const $1
														I64Shl
														Set R8
														Block
															Block
																Loop
																	Get R8
																	I64Const $128
																	I64GeU
																	I32Eqz
																	BrIf $1
																	Get R3
																	Get R2
																	I64Add
																	I32WrapI64
																	Get R8
																	I64Const $128
																	I64Or
																	I64Const $255
																	I64And
																	I64Store8 $0
																	Get R2
																	I64Const $1
																	I64Add
																	Set R2
																	Get R8
																	I64Const $7
																	I64ShrU
																	Set R8
																	Br $0
																End
															End
															Get R3
															Get R2
															I64Add
															I32WrapI64
															Get R8
															I64Const $255
															I64And
															I64Store8 $0
															Get R2
															I64Const $1
															I64Add
															Set R2
															Br $0
														End
													Else
														Block
															Get PC_B
															I64Load $184
															Get R4
															I32WrapI64
															I64Load $8
															I64Add
															I32WrapI64
															I64Load $0
															Get R4
															I32WrapI64
															I64Load $24
															I64Add
															Set R7
															Get PC_B
															I64Load $56
															Get R7
															I64Add
															I32WrapI64
															I64Load8U $0
															Set R8
															Get R4
															I32WrapI64
															I64Load $0
															I64Const $3
															I64Eq
															If
																Get R8
																I64Const $16
																I64Mul
																Set R9
																Get R5
																Get R9
																I64Add
																I32WrapI64
																I64Load $8
																Set R6
																Get R5
																Get R9
																I64Add
																I32WrapI64
																I64Load $0
																Set R5
															Else
																Get R8
																Get R4
																I32WrapI64
																I64Load $48
																I64Ne
																If
																	Get PC_B
																	I64Load $184
																	Get R4
																	I32WrapI64
																	I64Load $16
																	I64Add
																	I32WrapI64
																	I64Load $0
																	Get R7
																	I64Sub
																	Set R6
																	Get PC_B
																	I64Load $56
																	Get R7
																	I64Add
																	Set R5
																End
															End
															Get R5
															Get R6
															Set R6
															Set R5
															Br $0
														End
													End
												End
											End
										End
									End
								End
							End
						End
						Block
							Get R6
							I64Const $64
							I64GtS
							If
								Get R3
								Get R2
								I64Add
								I32WrapI64
								Get R5
								I64Const $0
								I64Add
								I32WrapI64
								Get R6
								I32WrapI64
								MemoryCopy
							Else
								I64Const $0
								Set R7
								Block
									Loop
										Get R7
										Get R6
										I64LtS
										I32Eqz
										BrIf $1
										Block
											Get R3
											Get R2
											Get R7
											I64Add
											I64Add
											I32WrapI64
											Get R5
											Get R7
											I64Add
											I32WrapI64
											I64Load $0
											I64Store $0
											Get R3
											Get R2
											Get R7
											I64Add
											I64Add
											I32WrapI64
											Get R5
											Get R7
											I64Add
											I32WrapI64
											I64Load $8
											I64Store $8
										End
										Get R7
										I64Const $16
										I64Add
										Set R7
										Br $0
									End
								End
							End
						End
						Get R2
						Get R6
						I64Add
						Set R2
						Get R4
						I64Const $72
						I64Add
						Set R4
						Br $0
					End
				End
				Block
					Get PC_B
					I64Load $8
					Get PC_B
					I64Load $40
					I64Const $80
					I64Mul
					I64Add
					Tee R5
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
					Get R5
					I32WrapI64
					Get SP
					I64Load $8
					I64Store $8
					Get R5
					I32WrapI64
					Get SP
					I64Load $16
					I64Store $16
					Get R5
					I32WrapI64
					Get SP
					I64Load $24
					I64Store $24
					Get PC_B
					I64Load $152
					I32WrapI64
					I64Load $96
					Tee R6
					I64Const $0
					I64Ne
					If
						Get R5
						I32WrapI64
						Get R6
						I64Store $32
						Get R5
						I32WrapI64
						Get PC_B
						I64Load $80
						Get PC_B
						I64Load $200
						Get PC_B
						I64Load $80
						I64Sub
						I64Const $32
						I64Shl
						I64Or
						I64Store $40
					Else
						Get R5
						I32WrapI64
						Get SP
						I64Load $32
						I64Const $-4294967296
						I64And
						I64Const $1
						I64Or
						I64Store $32
						Get R5
						I32WrapI64
						I64Const $0
						I64Store $40
					End
					Get PC_B
					I64Load $152
					I32WrapI64
					I64Load $104
					Tee R6
					I64Const $0
					I64Ne
					If
						Get R5
						I32WrapI64
						Get R6
						I64Store $64
						Get R5
						I32WrapI64
						Get PC_B
						I64Load $200
						Get PC_B
						I64Load $208
						Get PC_B
						I64Load $200
						I64Sub
						I64Const $32
						I64Shl
						I64Or
						I64Store $72
					Else
						Get R5
						I32WrapI64
						I64Const $1
						I64Store $64
						Get R5
						I32WrapI64
						I64Const $0
						I64Store $72
					End
					Get R5
					I32WrapI64
					Get PC_B
					I64Load $144
					I64Store $48
					Get R5
					I32WrapI64
					Get PC_B
					I64Load $208
					Get R2
					Get PC_B
					I64Load $208
					I64Sub
					I64Const $32
					I64Shl
					I64Or
					I64Store $56
					Get PC_B
					Get R2
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
				I64Const $2
				Set R1
				Br $0
			End
			Get R1
			I64Const $2
			I64Ne
			If
				Get R1
				Set R2
				Get R0
				I32WrapI64
				Set SP
				Get SP
				Get R2
				I64Store ret+8(FP)
				RET
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
