// Made by plugins/assembler from kernel.go. DO NOT EDIT.

//go:build !stock

#include "textflag.h"

TEXT ·Members(SB), NOSPLIT, $0-16
	I64Load s+0(FP)
	Set R0
	Block
		Loop
			Get R0
			I32WrapI64
			I64Load $56
			Get R0
			I32WrapI64
			I64Load $64
			I64LtS
			I32Eqz
			BrIf $1
			Get R0
			I32WrapI64
			I64Load $48
			Get R0
			I32WrapI64
			I64Load $56
			I64Const $168
			I64Mul
			I64Add
			Set R1
			Get R0
			I32WrapI64
			I64Load $8
			Set R2
			Get R0
			I32WrapI64
			Get R0
			I32WrapI64
			I64Load $32
			I64Store $96
			Get R0
			I32WrapI64
			I64Load $32
			Get R1
			I32WrapI64
			I64Load $48
			I64Add
			Get R1
			I32WrapI64
			I64Load $64
			I64Add
			Get R0
			I32WrapI64
			I64Load $40
			I64GtS
			If
				Get SP
				I64Const $2
				I64Store ret+8(FP)
				RET
			End
			Get R2
			Get R0
			I32WrapI64
			I64Load $16
			I64GeS
			If
				Get SP
				I64Const $1
				I64Store ret+8(FP)
				RET
			End
			Get R1
			I32WrapI64
			I64Load $0
			Set R3
			Get R0
			I32WrapI64
			I64Load $72
			I64Const $0
			I64Ne
			If
				Get R0
				I32WrapI64
				I64Load $0
				Set R4
				Block
					I64Const $0
					Set R5
					Get R1
					I32WrapI64
					I64Load $96
					I64Const $8
					I64Sub
					Set R6
					Block
						Loop
							Get R5
							Get R6
							I64LtS
							I32Eqz
							BrIf $1
							Get R4
							Get R2
							Get R5
							I64Add
							I64Add
							I32WrapI64
							I64Load $0
							Get R1
							I32WrapI64
							I64Load $88
							Get R5
							I64Add
							I32WrapI64
							I64Load $0
							I64Ne
							If
								I64Const $0
								Set R2
								Br $3
							End
							Get R5
							I64Const $8
							I64Add
							Set R5
							Br $0
						End
					End
					Get R4
					Get R2
					Get R5
					I64Add
					I64Add
					I32WrapI64
					I64Load $0
					Get R1
					I32WrapI64
					I64Load $88
					Get R5
					I64Add
					I32WrapI64
					I64Load $0
					I64Xor
					Get R1
					I32WrapI64
					I64Load $104
					I64And
					I64Const $0
					I64Ne
					If
						I64Const $0
						Set R2
						Br $1
					End
					Get R2
					Get R1
					I32WrapI64
					I64Load $96
					I64Add
					Set R2
					Br $0
				End
				Get R2
				I64Eqz
				Get R2
				Get R0
				I32WrapI64
				I64Load $16
				I64GeS
				I32Or
				If
					Get SP
					I64Const $1
					I64Store ret+8(FP)
					RET
				End
				Get R0
				I32WrapI64
				I64Load $0
				Get R2
				I64Add
				I32WrapI64
				I64Load8U $0
				Tee R3
				I64Const $15
				I64GtU
				If
					Get SP
					I64Const $1
					I64Store ret+8(FP)
					RET
				End
				Get R1
				I32WrapI64
				I64Load $8
				I64Const $4
				Get R3
				I64Mul
				I64ShrU
				I64Const $15
				I64And
				Set R3
				Get R2
				I64Const $1
				I64Add
				Set R2
			End
			Get R1
			I32WrapI64
			I64Load $16
			I64Const $0
			I64Ne
			If
				Get R0
				I32WrapI64
				I64Load $0
				Get R2
				I64Add
				I32WrapI64
				I64Load8U $0
				I64Const $2
				I64Const $-1
				I64Xor
				I64And
				I64Const $0
				I64Ne
				If
					Get SP
					I64Const $1
					I64Store ret+8(FP)
					RET
				End
				Get R0
				I32WrapI64
				I64Load $0
				Get R2
				I64Add
				I32WrapI64
				I64Load8U $0
				Get R1
				I32WrapI64
				I64Load $24
				I64Eq
				If
					I64Const $1
					Set R3
				End
				Get R2
				I64Const $1
				I64Add
				Set R2
			End
			Get R3
			I64Eqz
			If
				Get SP
				I64Const $1
				I64Store ret+8(FP)
				RET
			End
			Get R3
			I64Const $1
			I64Eq
			If
				Get R1
				I32WrapI64
				I64Load $160
				I64Const $0
				I64Ne
				If
					Get SP
					I64Const $1
					I64Store ret+8(FP)
					RET
				End
				Get R1
				I32WrapI64
				I64Load $32
				I64Const $0
				I64Ne
				If
					Get R1
					I32WrapI64
					I64Load $72
					Set R4
					Get R1
					I32WrapI64
					I64Load $80
					Set R5
					Block
						I64Const $0
						Set R6
						Block
							Loop
								Get R6
								Get R5
								I64LtS
								I32Eqz
								BrIf $1
								Get R0
								I32WrapI64
								I64Load $24
								Get R0
								I32WrapI64
								I64Load $32
								Get R6
								I64Add
								I64Add
								I32WrapI64
								Get R4
								I64Const $0
								Get R6
								I64Add
								I64Add
								I32WrapI64
								I64Load $0
								I64Store $0
								Get R6
								I64Const $8
								I64Add
								Set R6
								Br $0
							End
						End
						Get R0
						I32WrapI64
						Get R0
						I32WrapI64
						I64Load $32
						Get R5
						I64Add
						I64Store $32
					End
				End
			Else
				Block
					Get R0
					I32WrapI64
					Get R2
					I64Store $104
					Get R3
					I64Const $14
					I64LtU
					If
						Get R1
						I32WrapI64
						I64Load $40
						Set R4
						Get R1
						I32WrapI64
						I64Load $48
						Set R5
						Block
							I64Const $0
							Set R6
							Block
								Loop
									Get R6
									Get R5
									I64LtS
									I32Eqz
									BrIf $1
									Get R0
									I32WrapI64
									I64Load $24
									Get R0
									I32WrapI64
									I64Load $32
									Get R6
									I64Add
									I64Add
									I32WrapI64
									Get R4
									I64Const $0
									Get R6
									I64Add
									I64Add
									I32WrapI64
									I64Load $0
									I64Store $0
									Get R6
									I64Const $8
									I64Add
									Set R6
									Br $0
								End
							End
							Get R0
							I32WrapI64
							Get R0
							I32WrapI64
							I64Load $32
							Get R5
							I64Add
							I64Store $32
						End
					End
					Block
						Get R3
						I64Const $12
						I64Eq
						Get R3
						I64Const $13
						I64Eq
						I32Or
						If
							Get R3
							I64Const $12
							I64Sub
							Set R4
							Block
								Get R4
								I64Const $0
								I64Ne
								If
									Get R0
									I32WrapI64
									I64Load $24
									Get R0
									I32WrapI64
									I64Load $32
									I64Add
									I32WrapI64
									I64Const $1702195828
									I64Store $0
									Get R0
									I32WrapI64
									Get R0
									I32WrapI64
									I64Load $32
									I64Const $4
									I64Add
									I64Store $32
								Else
									Get R0
									I32WrapI64
									I64Load $24
									Get R0
									I32WrapI64
									I64Load $32
									I64Add
									I32WrapI64
									I64Const $435728179558
									I64Store $0
									Get R0
									I32WrapI64
									Get R0
									I32WrapI64
									I64Load $32
									I64Const $5
									I64Add
									I64Store $32
								End
							End
							Get R2
							Set R2
							Br $1
						End
						Get R3
						I64Const $4
						I64Eq
						If
							Get R0
							I32WrapI64
							I64Load $0
							Get R2
							I64Add
							I32WrapI64
							I64Load8U $0
							I64Const $1
							I64GtU
							If
								I64Const $0
								Set R2
								Br $2
							End
							Get R0
							I32WrapI64
							I64Load $0
							Get R2
							I64Add
							I32WrapI64
							I64Load8U $0
							Set R4
							Block
								Get R4
								I64Const $0
								I64Ne
								If
									Get R0
									I32WrapI64
									I64Load $24
									Get R0
									I32WrapI64
									I64Load $32
									I64Add
									I32WrapI64
									I64Const $1702195828
									I64Store $0
									Get R0
									I32WrapI64
									Get R0
									I32WrapI64
									I64Load $32
									I64Const $4
									I64Add
									I64Store $32
								Else
									Get R0
									I32WrapI64
									I64Load $24
									Get R0
									I32WrapI64
									I64Load $32
									I64Add
									I32WrapI64
									I64Const $435728179558
									I64Store $0
									Get R0
									I32WrapI64
									Get R0
									I32WrapI64
									I64Load $32
									I64Const $5
									I64Add
									I64Store $32
								End
							End
							Get R2
							I64Const $1
							I64Add
							Set R2
							Br $1
						End
						Get R0
						I32WrapI64
						I64Load $0
						Set R6
						Get R2
						Set R7
						Block
							Get R6
							Get R7
							I64Add
							I32WrapI64
							I64Load8U $0
							Set R8
							Get R7
							I64Const $1
							I64Add
							Set R7
							Get R8
							I64Const $127
							I64And
							Set R9
							I64Const $7
							Set R10
							Block
								Loop
									Get R8
									I64Const $127
									I64GtU
									I32Eqz
									BrIf $1
									Get R6
									Get R7
									I64Add
									I32WrapI64
									I64Load8U $0
									Set R8
									Get R7
									I64Const $1
									I64Add
									Set R7
									Get R10
									I64Const $63
									I64Eq
									If
										Get R8
										I64Const $1
										I64GtU
										If
											I64Const $0
											I64Const $0
											Set R5
											Set R4
											Br $4
										End
									End
									Get R9
									Get R8
									I64Const $127
									I64And
									Get R10
									I64Shl
									I64Or
									Set R9
									Get R10
									I64Const $7
									I64Add
									Set R10
									Br $0
								End
							End
							Get R9
							I64Const $1
							I64ShrU
							I64Const $0
							Get R9
							I64Const $1
							I64And
							I64Sub
							I64Xor
							Get R7
							Set R5
							Set R4
							Br $0
						End
						Get R5
						I64Eqz
						Get R5
						Get R0
						I32WrapI64
						I64Load $16
						I64GtS
						I32Or
						If
							I64Const $0
							Set R2
							Br $1
						End
						Get R3
						I64Const $3
						I64LeU
						If
							Get R4
							Get R1
							I32WrapI64
							I64Load $112
							I64LtS
							Get R4
							Get R1
							I32WrapI64
							I64Load $120
							I64GtS
							I32Or
							If
								I64Const $0
								Set R2
								Br $2
							End
							Get R3
							I64Const $3
							I64Eq
							If
								Block
									Get R0
									I32WrapI64
									I64Load $80
									I64Eqz
									If
										Get R0
										I32WrapI64
										I64Load $24
										Get R0
										I32WrapI64
										I64Load $32
										I64Add
										I32WrapI64
										I64Const $34
										I64Store8 $0
										Get R0
										I32WrapI64
										Get R0
										I32WrapI64
										I64Load $32
										I64Const $1
										I64Add
										I64Store $32
									End
								End
							End
							Block
								Get R4
								Set R6
								Get R4
								I64Const $0
								I64LtS
								If
									Get R0
									I32WrapI64
									I64Load $24
									Get R0
									I32WrapI64
									I64Load $32
									I64Add
									I32WrapI64
									I64Const $45
									I64Store8 $0
									Get R0
									I32WrapI64
									Get R0
									I32WrapI64
									I64Load $32
									I64Const $1
									I64Add
									I64Store $32
									I64Const $0
									Get R6
									I64Sub
									Set R6
								End
								Get R6
								I64Const $10
								I64LtU
								If
									Get R0
									I32WrapI64
									I64Load $24
									Get R0
									I32WrapI64
									I64Load $32
									I64Add
									I32WrapI64
									Get R6
									I64Const $48
									I64Add
									I64Const $255
									I64And
									I64Store8 $0
									Get R0
									I32WrapI64
									Get R0
									I32WrapI64
									I64Load $32
									I64Const $1
									I64Add
									I64Store $32
								Else
									Get R6
									I64Const $100000000
									I64LtU
									If
										Get R6
										Set R7
										Block
											Block
												Get R7
												I64Const $10000
												I64DivU
												Get R7
												I64Const $10000
												I64RemU
												I64Const $32
												I64Shl
												I64Or
												Tee R9
												I64Const $10486
												I64Mul
												I64Const $20
												I64ShrU
												I64Const $545460846719
												I64And
												Tee R10
												Get R9
												I64Const $100
												Get R10
												I64Mul
												I64Sub
												I64Const $16
												I64Shl
												I64Or
												Tee R9
												I64Const $103
												I64Mul
												I64Const $10
												I64ShrU
												I64Const $4222189076152335
												I64And
												Tee R10
												Get R9
												I64Const $10
												Get R10
												I64Mul
												I64Sub
												I64Const $8
												I64Shl
												I64Or
												Set R8
												Br $0
											End
											Get R8
											I64Ctz
											I64Const $56
											I64And
											Set R7
											Get R0
											I32WrapI64
											I64Load $24
											Get R0
											I32WrapI64
											I64Load $32
											I64Add
											I32WrapI64
											Get R8
											I64Const $3472328296227680304
											I64Or
											Get R7
											I64ShrU
											I64Store $0
											Get R0
											I32WrapI64
											Get R0
											I32WrapI64
											I64Load $32
											I64Const $8
											Get R7
											I64Const $3
											I64ShrU
											I64Sub
											I64Add
											I64Store $32
										End
									Else
										Get R6
										I64Const $10000000000000000
										I64LtU
										If
											Get R6
											I64Const $100000000
											I64DivU
											Set R7
											Block
												Block
													Get R7
													I64Const $10000
													I64DivU
													Get R7
													I64Const $10000
													I64RemU
													I64Const $32
													I64Shl
													I64Or
													Tee R9
													I64Const $10486
													I64Mul
													I64Const $20
													I64ShrU
													I64Const $545460846719
													I64And
													Tee R10
													Get R9
													I64Const $100
													Get R10
													I64Mul
													I64Sub
													I64Const $16
													I64Shl
													I64Or
													Tee R9
													I64Const $103
													I64Mul
													I64Const $10
													I64ShrU
													I64Const $4222189076152335
													I64And
													Tee R10
													Get R9
													I64Const $10
													Get R10
													I64Mul
													I64Sub
													I64Const $8
													I64Shl
													I64Or
													Set R8
													Br $0
												End
												Get R8
												I64Ctz
												I64Const $56
												I64And
												Set R7
												Get R0
												I32WrapI64
												I64Load $24
												Get R0
												I32WrapI64
												I64Load $32
												I64Add
												I32WrapI64
												Get R8
												I64Const $3472328296227680304
												I64Or
												Get R7
												I64ShrU
												I64Store $0
												Get R0
												I32WrapI64
												Get R0
												I32WrapI64
												I64Load $32
												I64Const $8
												Get R7
												I64Const $3
												I64ShrU
												I64Sub
												I64Add
												I64Store $32
											End
										Else
											Get R6
											I64Const $10000000000000000
											I64DivU
											Set R7
											Block
												Block
													Get R7
													I64Const $10000
													I64DivU
													Get R7
													I64Const $10000
													I64RemU
													I64Const $32
													I64Shl
													I64Or
													Tee R9
													I64Const $10486
													I64Mul
													I64Const $20
													I64ShrU
													I64Const $545460846719
													I64And
													Tee R10
													Get R9
													I64Const $100
													Get R10
													I64Mul
													I64Sub
													I64Const $16
													I64Shl
													I64Or
													Tee R9
													I64Const $103
													I64Mul
													I64Const $10
													I64ShrU
													I64Const $4222189076152335
													I64And
													Tee R10
													Get R9
													I64Const $10
													Get R10
													I64Mul
													I64Sub
													I64Const $8
													I64Shl
													I64Or
													Set R8
													Br $0
												End
												Get R8
												I64Ctz
												I64Const $56
												I64And
												Set R7
												Get R0
												I32WrapI64
												I64Load $24
												Get R0
												I32WrapI64
												I64Load $32
												I64Add
												I32WrapI64
												Get R8
												I64Const $3472328296227680304
												I64Or
												Get R7
												I64ShrU
												I64Store $0
												Get R0
												I32WrapI64
												Get R0
												I32WrapI64
												I64Load $32
												I64Const $8
												Get R7
												I64Const $3
												I64ShrU
												I64Sub
												I64Add
												I64Store $32
											End
											Get R6
											I64Const $100000000
											I64DivU
											I64Const $100000000
											I64RemU
											Set R7
											Block
												Block
													Get R7
													I64Const $10000
													I64DivU
													Get R7
													I64Const $10000
													I64RemU
													I64Const $32
													I64Shl
													I64Or
													Tee R9
													I64Const $10486
													I64Mul
													I64Const $20
													I64ShrU
													I64Const $545460846719
													I64And
													Tee R10
													Get R9
													I64Const $100
													Get R10
													I64Mul
													I64Sub
													I64Const $16
													I64Shl
													I64Or
													Tee R9
													I64Const $103
													I64Mul
													I64Const $10
													I64ShrU
													I64Const $4222189076152335
													I64And
													Tee R10
													Get R9
													I64Const $10
													Get R10
													I64Mul
													I64Sub
													I64Const $8
													I64Shl
													I64Or
													Set R8
													Br $0
												End
												Get R0
												I32WrapI64
												I64Load $24
												Get R0
												I32WrapI64
												I64Load $32
												I64Add
												I32WrapI64
												Get R8
												I64Const $3472328296227680304
												I64Or
												I64Store $0
												Get R0
												I32WrapI64
												Get R0
												I32WrapI64
												I64Load $32
												I64Const $8
												I64Add
												I64Store $32
											End
										End
										Get R6
										I64Const $100000000
										I64RemU
										Set R7
										Block
											Block
												Get R7
												I64Const $10000
												I64DivU
												Get R7
												I64Const $10000
												I64RemU
												I64Const $32
												I64Shl
												I64Or
												Tee R9
												I64Const $10486
												I64Mul
												I64Const $20
												I64ShrU
												I64Const $545460846719
												I64And
												Tee R10
												Get R9
												I64Const $100
												Get R10
												I64Mul
												I64Sub
												I64Const $16
												I64Shl
												I64Or
												Tee R9
												I64Const $103
												I64Mul
												I64Const $10
												I64ShrU
												I64Const $4222189076152335
												I64And
												Tee R10
												Get R9
												I64Const $10
												Get R10
												I64Mul
												I64Sub
												I64Const $8
												I64Shl
												I64Or
												Set R8
												Br $0
											End
											Get R0
											I32WrapI64
											I64Load $24
											Get R0
											I32WrapI64
											I64Load $32
											I64Add
											I32WrapI64
											Get R8
											I64Const $3472328296227680304
											I64Or
											I64Store $0
											Get R0
											I32WrapI64
											Get R0
											I32WrapI64
											I64Load $32
											I64Const $8
											I64Add
											I64Store $32
										End
									End
								End
							End
							Get R3
							I64Const $3
							I64Eq
							If
								Block
									Get R0
									I32WrapI64
									I64Load $80
									I64Eqz
									If
										Get R0
										I32WrapI64
										I64Load $24
										Get R0
										I32WrapI64
										I64Load $32
										I64Add
										I32WrapI64
										I64Const $34
										I64Store8 $0
										Get R0
										I32WrapI64
										Get R0
										I32WrapI64
										I64Load $32
										I64Const $1
										I64Add
										I64Store $32
									End
								End
							End
							Get R5
							Set R2
							Br $1
						End
						I64Const $0
						Set R6
						Get R3
						I64Const $6
						I64Eq
						Get R3
						I64Const $7
						I64Eq
						I32Or
						If
							Get R4
							Get R1
							I32WrapI64
							I64Load $112
							I64LtS
							Get R4
							Get R1
							I32WrapI64
							I64Load $120
							I64GtS
							I32Or
							If
								I64Const $0
								Set R2
								Br $2
							End
							Get R4
							Get R1
							I32WrapI64
							I64Load $128
							I64Mul
							Set R7
							Get R3
							I64Const $6
							I64Sub
							Set R8
							Block
								Get R7
								I64Const $-62135596800000
								I64LtS
								Get R7
								I64Const $253402300799999
								I64GtS
								I32Or
								If
									I64Const $1
									Set R6
									Br $1
								End
								Get R0
								I32WrapI64
								I64Load $24
								Get R0
								I32WrapI64
								I64Load $32
								I64Add
								I32WrapI64
								I64Const $2910860695269497890
								I64Store $0
								Get R0
								I32WrapI64
								Get R0
								I32WrapI64
								I64Load $32
								I64Const $8
								I64Add
								I64Store $32
								Block
									Get R7
									Set R9
									Get R7
									I64Const $0
									I64LtS
									If
										Get R0
										I32WrapI64
										I64Load $24
										Get R0
										I32WrapI64
										I64Load $32
										I64Add
										I32WrapI64
										I64Const $45
										I64Store8 $0
										Get R0
										I32WrapI64
										Get R0
										I32WrapI64
										I64Load $32
										I64Const $1
										I64Add
										I64Store $32
										I64Const $0
										Get R9
										I64Sub
										Set R9
									End
									Get R9
									I64Const $10
									I64LtU
									If
										Get R0
										I32WrapI64
										I64Load $24
										Get R0
										I32WrapI64
										I64Load $32
										I64Add
										I32WrapI64
										Get R9
										I64Const $48
										I64Add
										I64Const $255
										I64And
										I64Store8 $0
										Get R0
										I32WrapI64
										Get R0
										I32WrapI64
										I64Load $32
										I64Const $1
										I64Add
										I64Store $32
									Else
										Get R9
										I64Const $100000000
										I64LtU
										If
											Get R9
											Set R10
											Block
												Block
													Get R10
													I64Const $10000
													I64DivU
													Get R10
													I64Const $10000
													I64RemU
													I64Const $32
													I64Shl
													I64Or
													Tee R12
													I64Const $10486
													I64Mul
													I64Const $20
													I64ShrU
													I64Const $545460846719
													I64And
													Tee R13
													Get R12
													I64Const $100
													Get R13
													I64Mul
													I64Sub
													I64Const $16
													I64Shl
													I64Or
													Tee R12
													I64Const $103
													I64Mul
													I64Const $10
													I64ShrU
													I64Const $4222189076152335
													I64And
													Tee R13
													Get R12
													I64Const $10
													Get R13
													I64Mul
													I64Sub
													I64Const $8
													I64Shl
													I64Or
													Set R11
													Br $0
												End
												Get R11
												I64Ctz
												I64Const $56
												I64And
												Set R10
												Get R0
												I32WrapI64
												I64Load $24
												Get R0
												I32WrapI64
												I64Load $32
												I64Add
												I32WrapI64
												Get R11
												I64Const $3472328296227680304
												I64Or
												Get R10
												I64ShrU
												I64Store $0
												Get R0
												I32WrapI64
												Get R0
												I32WrapI64
												I64Load $32
												I64Const $8
												Get R10
												I64Const $3
												I64ShrU
												I64Sub
												I64Add
												I64Store $32
											End
										Else
											Get R9
											I64Const $10000000000000000
											I64LtU
											If
												Get R9
												I64Const $100000000
												I64DivU
												Set R10
												Block
													Block
														Get R10
														I64Const $10000
														I64DivU
														Get R10
														I64Const $10000
														I64RemU
														I64Const $32
														I64Shl
														I64Or
														Tee R12
														I64Const $10486
														I64Mul
														I64Const $20
														I64ShrU
														I64Const $545460846719
														I64And
														Tee R13
														Get R12
														I64Const $100
														Get R13
														I64Mul
														I64Sub
														I64Const $16
														I64Shl
														I64Or
														Tee R12
														I64Const $103
														I64Mul
														I64Const $10
														I64ShrU
														I64Const $4222189076152335
														I64And
														Tee R13
														Get R12
														I64Const $10
														Get R13
														I64Mul
														I64Sub
														I64Const $8
														I64Shl
														I64Or
														Set R11
														Br $0
													End
													Get R11
													I64Ctz
													I64Const $56
													I64And
													Set R10
													Get R0
													I32WrapI64
													I64Load $24
													Get R0
													I32WrapI64
													I64Load $32
													I64Add
													I32WrapI64
													Get R11
													I64Const $3472328296227680304
													I64Or
													Get R10
													I64ShrU
													I64Store $0
													Get R0
													I32WrapI64
													Get R0
													I32WrapI64
													I64Load $32
													I64Const $8
													Get R10
													I64Const $3
													I64ShrU
													I64Sub
													I64Add
													I64Store $32
												End
											Else
												Get R9
												I64Const $10000000000000000
												I64DivU
												Set R10
												Block
													Block
														Get R10
														I64Const $10000
														I64DivU
														Get R10
														I64Const $10000
														I64RemU
														I64Const $32
														I64Shl
														I64Or
														Tee R12
														I64Const $10486
														I64Mul
														I64Const $20
														I64ShrU
														I64Const $545460846719
														I64And
														Tee R13
														Get R12
														I64Const $100
														Get R13
														I64Mul
														I64Sub
														I64Const $16
														I64Shl
														I64Or
														Tee R12
														I64Const $103
														I64Mul
														I64Const $10
														I64ShrU
														I64Const $4222189076152335
														I64And
														Tee R13
														Get R12
														I64Const $10
														Get R13
														I64Mul
														I64Sub
														I64Const $8
														I64Shl
														I64Or
														Set R11
														Br $0
													End
													Get R11
													I64Ctz
													I64Const $56
													I64And
													Set R10
													Get R0
													I32WrapI64
													I64Load $24
													Get R0
													I32WrapI64
													I64Load $32
													I64Add
													I32WrapI64
													Get R11
													I64Const $3472328296227680304
													I64Or
													Get R10
													I64ShrU
													I64Store $0
													Get R0
													I32WrapI64
													Get R0
													I32WrapI64
													I64Load $32
													I64Const $8
													Get R10
													I64Const $3
													I64ShrU
													I64Sub
													I64Add
													I64Store $32
												End
												Get R9
												I64Const $100000000
												I64DivU
												I64Const $100000000
												I64RemU
												Set R10
												Block
													Block
														Get R10
														I64Const $10000
														I64DivU
														Get R10
														I64Const $10000
														I64RemU
														I64Const $32
														I64Shl
														I64Or
														Tee R12
														I64Const $10486
														I64Mul
														I64Const $20
														I64ShrU
														I64Const $545460846719
														I64And
														Tee R13
														Get R12
														I64Const $100
														Get R13
														I64Mul
														I64Sub
														I64Const $16
														I64Shl
														I64Or
														Tee R12
														I64Const $103
														I64Mul
														I64Const $10
														I64ShrU
														I64Const $4222189076152335
														I64And
														Tee R13
														Get R12
														I64Const $10
														Get R13
														I64Mul
														I64Sub
														I64Const $8
														I64Shl
														I64Or
														Set R11
														Br $0
													End
													Get R0
													I32WrapI64
													I64Load $24
													Get R0
													I32WrapI64
													I64Load $32
													I64Add
													I32WrapI64
													Get R11
													I64Const $3472328296227680304
													I64Or
													I64Store $0
													Get R0
													I32WrapI64
													Get R0
													I32WrapI64
													I64Load $32
													I64Const $8
													I64Add
													I64Store $32
												End
											End
											Get R9
											I64Const $100000000
											I64RemU
											Set R10
											Block
												Block
													Get R10
													I64Const $10000
													I64DivU
													Get R10
													I64Const $10000
													I64RemU
													I64Const $32
													I64Shl
													I64Or
													Tee R12
													I64Const $10486
													I64Mul
													I64Const $20
													I64ShrU
													I64Const $545460846719
													I64And
													Tee R13
													Get R12
													I64Const $100
													Get R13
													I64Mul
													I64Sub
													I64Const $16
													I64Shl
													I64Or
													Tee R12
													I64Const $103
													I64Mul
													I64Const $10
													I64ShrU
													I64Const $4222189076152335
													I64And
													Tee R13
													Get R12
													I64Const $10
													Get R13
													I64Mul
													I64Sub
													I64Const $8
													I64Shl
													I64Or
													Set R11
													Br $0
												End
												Get R0
												I32WrapI64
												I64Load $24
												Get R0
												I32WrapI64
												I64Load $32
												I64Add
												I32WrapI64
												Get R11
												I64Const $3472328296227680304
												I64Or
												I64Store $0
												Get R0
												I32WrapI64
												Get R0
												I32WrapI64
												I64Load $32
												I64Const $8
												I64Add
												I64Store $32
											End
										End
									End
								End
								Get R8
								I64Const $0
								I64Ne
								If
									Get R0
									I32WrapI64
									I64Load $24
									Get R0
									I32WrapI64
									I64Load $32
									I64Add
									I32WrapI64
									I64Const $206966894635
									I64Store $0
									Get R0
									I32WrapI64
									Get R0
									I32WrapI64
									I64Load $32
									I64Const $5
									I64Add
									I64Store $32
								End
								Get R0
								I32WrapI64
								I64Load $24
								Get R0
								I32WrapI64
								I64Load $32
								I64Add
								I32WrapI64
								I64Const $573529129
								I64Store $0
								Get R0
								I32WrapI64
								Get R0
								I32WrapI64
								I64Load $32
								I64Const $4
								I64Add
								I64Store $32
								I64Const $0
								Set R6
								Br $0
							End
							Get R6
							I64Const $0
							I64Ne
							If
								I64Const $0
								Set R2
								Br $2
							End
							Get R5
							Set R2
							Br $1
						End
						Get R3
						I64Const $14
						I64Eq
						If
							Get R5
							Set R2
							Br $1
						End
						Get R4
						I64Const $0
						I64LtS
						Get R4
						Get R0
						I32WrapI64
						I64Load $16
						Get R5
						I64Sub
						I64GtS
						I32Or
						If
							I64Const $0
							Set R2
							Br $1
						End
						Block
							I64Const $0
							Set R7
							Get R3
							I64Const $15
							I64Eq
							If
								Get R1
								I32WrapI64
								I64Load $128
								I64Const $0
								I64Ne
								If
									Get R0
									I32WrapI64
									I64Load $0
									Set R8
									Get R5
									Set R9
									Get R5
									Get R4
									I64Add
									Set R10
									Block
										Block
											Loop
												Get R9
												Get R10
												I64LtS
												I32Eqz
												BrIf $1
												Get R8
												Get R9
												I64Add
												I32WrapI64
												I64Load $0
												Tee R11
												I64Const $-9187201950435737472
												I64And
												I64Eqz
												If
													Get R9
													I64Const $8
													I64Add
													Set R9
													Br $1
												End
												Get R9
												Get R11
												I64Const $-9187201950435737472
												I64And
												I64Ctz
												I64Const $3
												I64ShrS
												I64Add
												Tee R9
												Get R10
												I64GeS
												If
													Br $2
												End
												Get R8
												Get R9
												I64Add
												I32WrapI64
												I64Load $0
												Tee R11
												I64Const $255
												I64And
												I64Const $224
												I64LtU
												If
													Get R11
													I64Const $255
													I64And
													I64Const $194
													I64LtU
													Get R11
													I64Const $49152
													I64And
													I64Const $32768
													I64Ne
													I32Or
													If
														I64Const $1
														Set R7
														Br $4
													End
													Get R9
													I64Const $2
													I64Add
													Set R9
												Else
													Get R11
													I64Const $255
													I64And
													I64Const $240
													I64LtU
													If
														Get R11
														I64Const $12632064
														I64And
														I64Const $8421376
														I64Ne
														Get R11
														I64Const $255
														I64And
														I64Const $224
														I64Eq
														Get R11
														I64Const $8
														I64ShrU
														I64Const $255
														I64And
														I64Const $160
														I64LtU
														I32And
														I32Or
														Get R11
														I64Const $255
														I64And
														I64Const $237
														I64Eq
														Get R11
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
															Set R7
															Br $5
														End
														Get R9
														I64Const $3
														I64Add
														Set R9
													Else
														Get R11
														I64Const $255
														I64And
														I64Const $244
														I64GtU
														Get R11
														I64Const $3233857536
														I64And
														I64Const $2155905024
														I64Ne
														I32Or
														Get R11
														I64Const $255
														I64And
														I64Const $240
														I64Eq
														Get R11
														I64Const $8
														I64ShrU
														I64Const $255
														I64And
														I64Const $144
														I64LtU
														I32And
														I32Or
														Get R11
														I64Const $255
														I64And
														I64Const $244
														I64Eq
														Get R11
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
															Set R7
															Br $5
														End
														Get R9
														I64Const $4
														I64Add
														Set R9
													End
												End
												Get R9
												Get R10
												I64GtS
												If
													I64Const $1
													Set R7
													Br $3
												End
												Br $0
											End
										End
										I64Const $0
										Set R7
										Br $0
									End
									Get R7
									I64Const $0
									I64Ne
									If
										I64Const $0
										Set R2
										Br $3
									End
								End
								Get R5
								Get R4
								I64Add
								Set R2
								Br $1
							End
							Get R3
							I64Const $5
							I64Eq
							If
								Get R4
								Get R1
								I32WrapI64
								I64Load $120
								I64GtS
								Get R4
								Get R0
								I32WrapI64
								I64Load $40
								Get R0
								I32WrapI64
								I64Load $32
								I64Sub
								Get R1
								I32WrapI64
								I64Load $64
								I64Sub
								I64GtS
								I32Or
								If
									I64Const $0
									Set R2
									Br $2
								End
								Get R0
								I32WrapI64
								I64Load $80
								I64Const $0
								I64Ne
								If
									Block
										I64Const $0
										Set R8
										I64Const $0
										Set R9
										I64Const $0
										Set R10
										Block
											Loop
												Get R8
												Get R4
												I64LtS
												I32Eqz
												BrIf $1
												Get R0
												I32WrapI64
												I64Load $0
												Get R5
												Get R8
												I64Add
												I64Add
												I32WrapI64
												I64Load $0
												Tee R11
												I64Const $2314885530818453536
												I64Sub
												Get R11
												I64Const $2748926567846913574
												I64Xor
												I64Const $72340172838076673
												I64Sub
												I64Or
												Get R11
												I64Const $144680345676153346
												I64Or
												I64Const $4485090715960753726
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
												I64Const $0
												I64Ne
												If
													Get R8
													Get R12
													I64Ctz
													I64Const $3
													I64ShrS
													I64Add
													Get R4
													I64LtS
													If
														I64Const $1
														Set R7
														Br $4
													End
												End
												Get R9
												Get R11
												I64Or
												Set R9
												Get R11
												I64Const $-1157442765409226769
												I64Xor
												Set R12
												Get R10
												Get R12
												I64Const $72340172838076673
												I64Sub
												Get R12
												I64Const $-1
												I64Xor
												I64And
												I64Const $-9187201950435737472
												I64And
												I64Or
												Set R10
												Get R0
												I32WrapI64
												I64Load $24
												Get R0
												I32WrapI64
												I64Load $32
												Get R8
												I64Add
												I64Add
												I32WrapI64
												Get R11
												I64Store $0
												Get R8
												I64Const $8
												I64Add
												Set R8
												Br $0
											End
										End
										Get R9
										I64Const $-9187201950435737472
										I64And
										I64Const $0
										I64Ne
										If
											Get R10
											I64Const $0
											I64Ne
											If
												I64Const $1
												Set R7
												Br $2
											End
											Get R0
											I32WrapI64
											I64Load $0
											Set R11
											Get R5
											Set R12
											Get R5
											Get R4
											I64Add
											Set R13
											Block
												Block
													Loop
														Get R12
														Get R13
														I64LtS
														I32Eqz
														BrIf $1
														Get R11
														Get R12
														I64Add
														I32WrapI64
														I64Load $0
														Tee R14
														I64Const $-9187201950435737472
														I64And
														I64Eqz
														If
															Get R12
															I64Const $8
															I64Add
															Set R12
															Br $1
														End
														Get R12
														Get R14
														I64Const $-9187201950435737472
														I64And
														I64Ctz
														I64Const $3
														I64ShrS
														I64Add
														Tee R12
														Get R13
														I64GeS
														If
															Br $2
														End
														Get R11
														Get R12
														I64Add
														I32WrapI64
														I64Load $0
														Tee R14
														I64Const $255
														I64And
														I64Const $224
														I64LtU
														If
															Get R14
															I64Const $255
															I64And
															I64Const $194
															I64LtU
															Get R14
															I64Const $49152
															I64And
															I64Const $32768
															I64Ne
															I32Or
															If
																I64Const $1
																Set R8
																Br $4
															End
															Get R12
															I64Const $2
															I64Add
															Set R12
														Else
															Get R14
															I64Const $255
															I64And
															I64Const $240
															I64LtU
															If
																Get R14
																I64Const $12632064
																I64And
																I64Const $8421376
																I64Ne
																Get R14
																I64Const $255
																I64And
																I64Const $224
																I64Eq
																Get R14
																I64Const $8
																I64ShrU
																I64Const $255
																I64And
																I64Const $160
																I64LtU
																I32And
																I32Or
																Get R14
																I64Const $255
																I64And
																I64Const $237
																I64Eq
																Get R14
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
																	Set R8
																	Br $5
																End
																Get R12
																I64Const $3
																I64Add
																Set R12
															Else
																Get R14
																I64Const $255
																I64And
																I64Const $244
																I64GtU
																Get R14
																I64Const $3233857536
																I64And
																I64Const $2155905024
																I64Ne
																I32Or
																Get R14
																I64Const $255
																I64And
																I64Const $240
																I64Eq
																Get R14
																I64Const $8
																I64ShrU
																I64Const $255
																I64And
																I64Const $144
																I64LtU
																I32And
																I32Or
																Get R14
																I64Const $255
																I64And
																I64Const $244
																I64Eq
																Get R14
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
																	Set R8
																	Br $5
																End
																Get R12
																I64Const $4
																I64Add
																Set R12
															End
														End
														Get R12
														Get R13
														I64GtS
														If
															I64Const $1
															Set R8
															Br $3
														End
														Br $0
													End
												End
												I64Const $0
												Set R8
												Br $0
											End
											Get R8
											I64Const $0
											I64Ne
											If
												I64Const $1
												Set R7
												Br $2
											End
										End
										Get R0
										I32WrapI64
										Get R0
										I32WrapI64
										I64Load $32
										Get R4
										I64Add
										I64Store $32
										I64Const $0
										Set R7
										Br $0
									End
								Else
									Block
										Block
											Get R0
											I32WrapI64
											I64Load $80
											I64Eqz
											If
												Get R0
												I32WrapI64
												I64Load $24
												Get R0
												I32WrapI64
												I64Load $32
												I64Add
												I32WrapI64
												I64Const $34
												I64Store8 $0
												Get R0
												I32WrapI64
												Get R0
												I32WrapI64
												I64Load $32
												I64Const $1
												I64Add
												I64Store $32
											End
										End
										I64Const $0
										Set R8
										I64Const $0
										Set R9
										Block
											Loop
												Get R8
												Get R4
												I64LtS
												I32Eqz
												BrIf $1
												Get R0
												I32WrapI64
												I64Load $0
												Get R5
												Get R8
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
												Tee R11
												I64Const $0
												I64Ne
												If
													Get R8
													Get R11
													I64Ctz
													I64Const $3
													I64ShrS
													I64Add
													Get R4
													I64LtS
													If
														I64Const $1
														Set R7
														Br $4
													End
												End
												Get R9
												Get R10
												I64Or
												Set R9
												Get R0
												I32WrapI64
												I64Load $24
												Get R0
												I32WrapI64
												I64Load $32
												Get R8
												I64Add
												I64Add
												I32WrapI64
												Get R10
												I64Store $0
												Get R8
												I64Const $8
												I64Add
												Set R8
												Br $0
											End
										End
										Get R9
										I64Const $-9187201950435737472
										I64And
										I64Const $0
										I64Ne
										If
											Get R0
											I32WrapI64
											I64Load $0
											Set R10
											Get R5
											Set R11
											Get R5
											Get R4
											I64Add
											Set R12
											Block
												Block
													Loop
														Get R11
														Get R12
														I64LtS
														I32Eqz
														BrIf $1
														Get R10
														Get R11
														I64Add
														I32WrapI64
														I64Load $0
														Tee R13
														I64Const $-9187201950435737472
														I64And
														I64Eqz
														If
															Get R11
															I64Const $8
															I64Add
															Set R11
															Br $1
														End
														Get R11
														Get R13
														I64Const $-9187201950435737472
														I64And
														I64Ctz
														I64Const $3
														I64ShrS
														I64Add
														Tee R11
														Get R12
														I64GeS
														If
															Br $2
														End
														Get R10
														Get R11
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
																Set R8
																Br $4
															End
															Get R11
															I64Const $2
															I64Add
															Set R11
														Else
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
																	Set R8
																	Br $5
																End
																Get R11
																I64Const $3
																I64Add
																Set R11
															Else
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
																	Set R8
																	Br $5
																End
																Get R11
																I64Const $4
																I64Add
																Set R11
															End
														End
														Get R11
														Get R12
														I64GtS
														If
															I64Const $1
															Set R8
															Br $3
														End
														Br $0
													End
												End
												I64Const $0
												Set R8
												Br $0
											End
											Get R8
											I64Const $0
											I64Ne
											If
												I64Const $1
												Set R7
												Br $2
											End
										End
										Get R0
										I32WrapI64
										Get R0
										I32WrapI64
										I64Load $32
										Get R4
										I64Add
										I64Store $32
										Block
											Get R0
											I32WrapI64
											I64Load $80
											I64Eqz
											If
												Get R0
												I32WrapI64
												I64Load $24
												Get R0
												I32WrapI64
												I64Load $32
												I64Add
												I32WrapI64
												I64Const $34
												I64Store8 $0
												Get R0
												I32WrapI64
												Get R0
												I32WrapI64
												I64Load $32
												I64Const $1
												I64Add
												I64Store $32
											End
										End
										I64Const $0
										Set R7
										Br $0
									End
								End
							Else
								Get R3
								I64Const $8
								I64Eq
								If
									Get R4
									I64Eqz
									Get R4
									I64Const $8
									I64GtS
									I32Or
									If
										I64Const $0
										Set R2
										Br $3
									End
									Get R0
									I32WrapI64
									I64Load $0
									Set R8
									Block
										Get R8
										Get R5
										I64Add
										I32WrapI64
										I64Load $0
										Tee R9
										I64Const $8
										I64ShrU
										I64Const $71777214294589695
										I64And
										Get R9
										I64Const $71777214294589695
										I64And
										I64Const $8
										I64Shl
										I64Or
										Tee R9
										I64Const $16
										I64ShrU
										I64Const $281470681808895
										I64And
										Get R9
										I64Const $281470681808895
										I64And
										I64Const $16
										I64Shl
										I64Or
										Tee R9
										I64Const $32
										I64ShrU
										Get R9
										I64Const $32
										I64Shl
										I64Or
										Tee R9
										I64Const $64
										I64Const $8
										Get R4
										I64Mul
										I64Sub
										I64ShrS
										Set R7
										Br $0
									End
									Get R7
									Get R1
									I32WrapI64
									I64Load $152
									I64GeS
									Get R7
									I64Const $0
									Get R1
									I32WrapI64
									I64Load $152
									I64Sub
									I64LeS
									I32Or
									If
										I64Const $0
										Set R2
										Br $3
									End
									Get R7
									Set R8
									Block
										Block
											Get R0
											I32WrapI64
											I64Load $80
											I64Eqz
											If
												Get R0
												I32WrapI64
												I64Load $24
												Get R0
												I32WrapI64
												I64Load $32
												I64Add
												I32WrapI64
												I64Const $34
												I64Store8 $0
												Get R0
												I32WrapI64
												Get R0
												I32WrapI64
												I64Load $32
												I64Const $1
												I64Add
												I64Store $32
											End
										End
										Get R1
										I32WrapI64
										I64Load $128
										I64Eqz
										If
											Block
												Get R8
												Set R9
												Get R8
												I64Const $0
												I64LtS
												If
													Get R0
													I32WrapI64
													I64Load $24
													Get R0
													I32WrapI64
													I64Load $32
													I64Add
													I32WrapI64
													I64Const $45
													I64Store8 $0
													Get R0
													I32WrapI64
													Get R0
													I32WrapI64
													I64Load $32
													I64Const $1
													I64Add
													I64Store $32
													I64Const $0
													Get R9
													I64Sub
													Set R9
												End
												Get R9
												I64Const $10
												I64LtU
												If
													Get R0
													I32WrapI64
													I64Load $24
													Get R0
													I32WrapI64
													I64Load $32
													I64Add
													I32WrapI64
													Get R9
													I64Const $48
													I64Add
													I64Const $255
													I64And
													I64Store8 $0
													Get R0
													I32WrapI64
													Get R0
													I32WrapI64
													I64Load $32
													I64Const $1
													I64Add
													I64Store $32
												Else
													Get R9
													I64Const $100000000
													I64LtU
													If
														Get R9
														Set R10
														Block
															Block
																Get R10
																I64Const $10000
																I64DivU
																Get R10
																I64Const $10000
																I64RemU
																I64Const $32
																I64Shl
																I64Or
																Tee R12
																I64Const $10486
																I64Mul
																I64Const $20
																I64ShrU
																I64Const $545460846719
																I64And
																Tee R13
																Get R12
																I64Const $100
																Get R13
																I64Mul
																I64Sub
																I64Const $16
																I64Shl
																I64Or
																Tee R12
																I64Const $103
																I64Mul
																I64Const $10
																I64ShrU
																I64Const $4222189076152335
																I64And
																Tee R13
																Get R12
																I64Const $10
																Get R13
																I64Mul
																I64Sub
																I64Const $8
																I64Shl
																I64Or
																Set R11
																Br $0
															End
															Get R11
															I64Ctz
															I64Const $56
															I64And
															Set R10
															Get R0
															I32WrapI64
															I64Load $24
															Get R0
															I32WrapI64
															I64Load $32
															I64Add
															I32WrapI64
															Get R11
															I64Const $3472328296227680304
															I64Or
															Get R10
															I64ShrU
															I64Store $0
															Get R0
															I32WrapI64
															Get R0
															I32WrapI64
															I64Load $32
															I64Const $8
															Get R10
															I64Const $3
															I64ShrU
															I64Sub
															I64Add
															I64Store $32
														End
													Else
														Get R9
														I64Const $10000000000000000
														I64LtU
														If
															Get R9
															I64Const $100000000
															I64DivU
															Set R10
															Block
																Block
																	Get R10
																	I64Const $10000
																	I64DivU
																	Get R10
																	I64Const $10000
																	I64RemU
																	I64Const $32
																	I64Shl
																	I64Or
																	Tee R12
																	I64Const $10486
																	I64Mul
																	I64Const $20
																	I64ShrU
																	I64Const $545460846719
																	I64And
																	Tee R13
																	Get R12
																	I64Const $100
																	Get R13
																	I64Mul
																	I64Sub
																	I64Const $16
																	I64Shl
																	I64Or
																	Tee R12
																	I64Const $103
																	I64Mul
																	I64Const $10
																	I64ShrU
																	I64Const $4222189076152335
																	I64And
																	Tee R13
																	Get R12
																	I64Const $10
																	Get R13
																	I64Mul
																	I64Sub
																	I64Const $8
																	I64Shl
																	I64Or
																	Set R11
																	Br $0
																End
																Get R11
																I64Ctz
																I64Const $56
																I64And
																Set R10
																Get R0
																I32WrapI64
																I64Load $24
																Get R0
																I32WrapI64
																I64Load $32
																I64Add
																I32WrapI64
																Get R11
																I64Const $3472328296227680304
																I64Or
																Get R10
																I64ShrU
																I64Store $0
																Get R0
																I32WrapI64
																Get R0
																I32WrapI64
																I64Load $32
																I64Const $8
																Get R10
																I64Const $3
																I64ShrU
																I64Sub
																I64Add
																I64Store $32
															End
														Else
															Get R9
															I64Const $10000000000000000
															I64DivU
															Set R10
															Block
																Block
																	Get R10
																	I64Const $10000
																	I64DivU
																	Get R10
																	I64Const $10000
																	I64RemU
																	I64Const $32
																	I64Shl
																	I64Or
																	Tee R12
																	I64Const $10486
																	I64Mul
																	I64Const $20
																	I64ShrU
																	I64Const $545460846719
																	I64And
																	Tee R13
																	Get R12
																	I64Const $100
																	Get R13
																	I64Mul
																	I64Sub
																	I64Const $16
																	I64Shl
																	I64Or
																	Tee R12
																	I64Const $103
																	I64Mul
																	I64Const $10
																	I64ShrU
																	I64Const $4222189076152335
																	I64And
																	Tee R13
																	Get R12
																	I64Const $10
																	Get R13
																	I64Mul
																	I64Sub
																	I64Const $8
																	I64Shl
																	I64Or
																	Set R11
																	Br $0
																End
																Get R11
																I64Ctz
																I64Const $56
																I64And
																Set R10
																Get R0
																I32WrapI64
																I64Load $24
																Get R0
																I32WrapI64
																I64Load $32
																I64Add
																I32WrapI64
																Get R11
																I64Const $3472328296227680304
																I64Or
																Get R10
																I64ShrU
																I64Store $0
																Get R0
																I32WrapI64
																Get R0
																I32WrapI64
																I64Load $32
																I64Const $8
																Get R10
																I64Const $3
																I64ShrU
																I64Sub
																I64Add
																I64Store $32
															End
															Get R9
															I64Const $100000000
															I64DivU
															I64Const $100000000
															I64RemU
															Set R10
															Block
																Block
																	Get R10
																	I64Const $10000
																	I64DivU
																	Get R10
																	I64Const $10000
																	I64RemU
																	I64Const $32
																	I64Shl
																	I64Or
																	Tee R12
																	I64Const $10486
																	I64Mul
																	I64Const $20
																	I64ShrU
																	I64Const $545460846719
																	I64And
																	Tee R13
																	Get R12
																	I64Const $100
																	Get R13
																	I64Mul
																	I64Sub
																	I64Const $16
																	I64Shl
																	I64Or
																	Tee R12
																	I64Const $103
																	I64Mul
																	I64Const $10
																	I64ShrU
																	I64Const $4222189076152335
																	I64And
																	Tee R13
																	Get R12
																	I64Const $10
																	Get R13
																	I64Mul
																	I64Sub
																	I64Const $8
																	I64Shl
																	I64Or
																	Set R11
																	Br $0
																End
																Get R0
																I32WrapI64
																I64Load $24
																Get R0
																I32WrapI64
																I64Load $32
																I64Add
																I32WrapI64
																Get R11
																I64Const $3472328296227680304
																I64Or
																I64Store $0
																Get R0
																I32WrapI64
																Get R0
																I32WrapI64
																I64Load $32
																I64Const $8
																I64Add
																I64Store $32
															End
														End
														Get R9
														I64Const $100000000
														I64RemU
														Set R10
														Block
															Block
																Get R10
																I64Const $10000
																I64DivU
																Get R10
																I64Const $10000
																I64RemU
																I64Const $32
																I64Shl
																I64Or
																Tee R12
																I64Const $10486
																I64Mul
																I64Const $20
																I64ShrU
																I64Const $545460846719
																I64And
																Tee R13
																Get R12
																I64Const $100
																Get R13
																I64Mul
																I64Sub
																I64Const $16
																I64Shl
																I64Or
																Tee R12
																I64Const $103
																I64Mul
																I64Const $10
																I64ShrU
																I64Const $4222189076152335
																I64And
																Tee R13
																Get R12
																I64Const $10
																Get R13
																I64Mul
																I64Sub
																I64Const $8
																I64Shl
																I64Or
																Set R11
																Br $0
															End
															Get R0
															I32WrapI64
															I64Load $24
															Get R0
															I32WrapI64
															I64Load $32
															I64Add
															I32WrapI64
															Get R11
															I64Const $3472328296227680304
															I64Or
															I64Store $0
															Get R0
															I32WrapI64
															Get R0
															I32WrapI64
															I64Load $32
															I64Const $8
															I64Add
															I64Store $32
														End
													End
												End
											End
										Else
											Get R8
											I64Const $0
											I64LtS
											If
												Get R0
												I32WrapI64
												I64Load $24
												Get R0
												I32WrapI64
												I64Load $32
												I64Add
												I32WrapI64
												I64Const $45
												I64Store8 $0
												Get R0
												I32WrapI64
												Get R0
												I32WrapI64
												I64Load $32
												I64Const $1
												I64Add
												I64Store $32
												I64Const $0
												Get R8
												I64Sub
												Set R8
											End
											Get R8
											Get R1
											I32WrapI64
											I64Load $144
											I64DivS
											Set R9
											Block
												Get R9
												Set R10
												Get R9
												I64Const $0
												I64LtS
												If
													Get R0
													I32WrapI64
													I64Load $24
													Get R0
													I32WrapI64
													I64Load $32
													I64Add
													I32WrapI64
													I64Const $45
													I64Store8 $0
													Get R0
													I32WrapI64
													Get R0
													I32WrapI64
													I64Load $32
													I64Const $1
													I64Add
													I64Store $32
													I64Const $0
													Get R10
													I64Sub
													Set R10
												End
												Get R10
												I64Const $10
												I64LtU
												If
													Get R0
													I32WrapI64
													I64Load $24
													Get R0
													I32WrapI64
													I64Load $32
													I64Add
													I32WrapI64
													Get R10
													I64Const $48
													I64Add
													I64Const $255
													I64And
													I64Store8 $0
													Get R0
													I32WrapI64
													Get R0
													I32WrapI64
													I64Load $32
													I64Const $1
													I64Add
													I64Store $32
												Else
													Get R10
													I64Const $100000000
													I64LtU
													If
														Get R10
														Set R11
														Block
															Block
																Get R11
																I64Const $10000
																I64DivU
																Get R11
																I64Const $10000
																I64RemU
																I64Const $32
																I64Shl
																I64Or
																Tee R13
																I64Const $10486
																I64Mul
																I64Const $20
																I64ShrU
																I64Const $545460846719
																I64And
																Tee R14
																Get R13
																I64Const $100
																Get R14
																I64Mul
																I64Sub
																I64Const $16
																I64Shl
																I64Or
																Tee R13
																I64Const $103
																I64Mul
																I64Const $10
																I64ShrU
																I64Const $4222189076152335
																I64And
																Tee R14
																Get R13
																I64Const $10
																Get R14
																I64Mul
																I64Sub
																I64Const $8
																I64Shl
																I64Or
																Set R12
																Br $0
															End
															Get R12
															I64Ctz
															I64Const $56
															I64And
															Set R11
															Get R0
															I32WrapI64
															I64Load $24
															Get R0
															I32WrapI64
															I64Load $32
															I64Add
															I32WrapI64
															Get R12
															I64Const $3472328296227680304
															I64Or
															Get R11
															I64ShrU
															I64Store $0
															Get R0
															I32WrapI64
															Get R0
															I32WrapI64
															I64Load $32
															I64Const $8
															Get R11
															I64Const $3
															I64ShrU
															I64Sub
															I64Add
															I64Store $32
														End
													Else
														Get R10
														I64Const $10000000000000000
														I64LtU
														If
															Get R10
															I64Const $100000000
															I64DivU
															Set R11
															Block
																Block
																	Get R11
																	I64Const $10000
																	I64DivU
																	Get R11
																	I64Const $10000
																	I64RemU
																	I64Const $32
																	I64Shl
																	I64Or
																	Tee R13
																	I64Const $10486
																	I64Mul
																	I64Const $20
																	I64ShrU
																	I64Const $545460846719
																	I64And
																	Tee R14
																	Get R13
																	I64Const $100
																	Get R14
																	I64Mul
																	I64Sub
																	I64Const $16
																	I64Shl
																	I64Or
																	Tee R13
																	I64Const $103
																	I64Mul
																	I64Const $10
																	I64ShrU
																	I64Const $4222189076152335
																	I64And
																	Tee R14
																	Get R13
																	I64Const $10
																	Get R14
																	I64Mul
																	I64Sub
																	I64Const $8
																	I64Shl
																	I64Or
																	Set R12
																	Br $0
																End
																Get R12
																I64Ctz
																I64Const $56
																I64And
																Set R11
																Get R0
																I32WrapI64
																I64Load $24
																Get R0
																I32WrapI64
																I64Load $32
																I64Add
																I32WrapI64
																Get R12
																I64Const $3472328296227680304
																I64Or
																Get R11
																I64ShrU
																I64Store $0
																Get R0
																I32WrapI64
																Get R0
																I32WrapI64
																I64Load $32
																I64Const $8
																Get R11
																I64Const $3
																I64ShrU
																I64Sub
																I64Add
																I64Store $32
															End
														Else
															Get R10
															I64Const $10000000000000000
															I64DivU
															Set R11
															Block
																Block
																	Get R11
																	I64Const $10000
																	I64DivU
																	Get R11
																	I64Const $10000
																	I64RemU
																	I64Const $32
																	I64Shl
																	I64Or
																	Tee R13
																	I64Const $10486
																	I64Mul
																	I64Const $20
																	I64ShrU
																	I64Const $545460846719
																	I64And
																	Tee R14
																	Get R13
																	I64Const $100
																	Get R14
																	I64Mul
																	I64Sub
																	I64Const $16
																	I64Shl
																	I64Or
																	Tee R13
																	I64Const $103
																	I64Mul
																	I64Const $10
																	I64ShrU
																	I64Const $4222189076152335
																	I64And
																	Tee R14
																	Get R13
																	I64Const $10
																	Get R14
																	I64Mul
																	I64Sub
																	I64Const $8
																	I64Shl
																	I64Or
																	Set R12
																	Br $0
																End
																Get R12
																I64Ctz
																I64Const $56
																I64And
																Set R11
																Get R0
																I32WrapI64
																I64Load $24
																Get R0
																I32WrapI64
																I64Load $32
																I64Add
																I32WrapI64
																Get R12
																I64Const $3472328296227680304
																I64Or
																Get R11
																I64ShrU
																I64Store $0
																Get R0
																I32WrapI64
																Get R0
																I32WrapI64
																I64Load $32
																I64Const $8
																Get R11
																I64Const $3
																I64ShrU
																I64Sub
																I64Add
																I64Store $32
															End
															Get R10
															I64Const $100000000
															I64DivU
															I64Const $100000000
															I64RemU
															Set R11
															Block
																Block
																	Get R11
																	I64Const $10000
																	I64DivU
																	Get R11
																	I64Const $10000
																	I64RemU
																	I64Const $32
																	I64Shl
																	I64Or
																	Tee R13
																	I64Const $10486
																	I64Mul
																	I64Const $20
																	I64ShrU
																	I64Const $545460846719
																	I64And
																	Tee R14
																	Get R13
																	I64Const $100
																	Get R14
																	I64Mul
																	I64Sub
																	I64Const $16
																	I64Shl
																	I64Or
																	Tee R13
																	I64Const $103
																	I64Mul
																	I64Const $10
																	I64ShrU
																	I64Const $4222189076152335
																	I64And
																	Tee R14
																	Get R13
																	I64Const $10
																	Get R14
																	I64Mul
																	I64Sub
																	I64Const $8
																	I64Shl
																	I64Or
																	Set R12
																	Br $0
																End
																Get R0
																I32WrapI64
																I64Load $24
																Get R0
																I32WrapI64
																I64Load $32
																I64Add
																I32WrapI64
																Get R12
																I64Const $3472328296227680304
																I64Or
																I64Store $0
																Get R0
																I32WrapI64
																Get R0
																I32WrapI64
																I64Load $32
																I64Const $8
																I64Add
																I64Store $32
															End
														End
														Get R10
														I64Const $100000000
														I64RemU
														Set R11
														Block
															Block
																Get R11
																I64Const $10000
																I64DivU
																Get R11
																I64Const $10000
																I64RemU
																I64Const $32
																I64Shl
																I64Or
																Tee R13
																I64Const $10486
																I64Mul
																I64Const $20
																I64ShrU
																I64Const $545460846719
																I64And
																Tee R14
																Get R13
																I64Const $100
																Get R14
																I64Mul
																I64Sub
																I64Const $16
																I64Shl
																I64Or
																Tee R13
																I64Const $103
																I64Mul
																I64Const $10
																I64ShrU
																I64Const $4222189076152335
																I64And
																Tee R14
																Get R13
																I64Const $10
																Get R14
																I64Mul
																I64Sub
																I64Const $8
																I64Shl
																I64Or
																Set R12
																Br $0
															End
															Get R0
															I32WrapI64
															I64Load $24
															Get R0
															I32WrapI64
															I64Load $32
															I64Add
															I32WrapI64
															Get R12
															I64Const $3472328296227680304
															I64Or
															I64Store $0
															Get R0
															I32WrapI64
															Get R0
															I32WrapI64
															I64Load $32
															I64Const $8
															I64Add
															I64Store $32
														End
													End
												End
											End
											Get R0
											I32WrapI64
											I64Load $24
											Get R0
											I32WrapI64
											I64Load $32
											I64Add
											I32WrapI64
											I64Const $46
											I64Store8 $0
											Get R8
											Get R1
											I32WrapI64
											I64Load $144
											I64RemS
											Set R10
											Block
												Get R10
												I64Const $10000
												I64DivU
												Get R10
												I64Const $10000
												I64RemU
												I64Const $32
												I64Shl
												I64Or
												Tee R11
												I64Const $10486
												I64Mul
												I64Const $20
												I64ShrU
												I64Const $545460846719
												I64And
												Tee R12
												Get R11
												I64Const $100
												Get R12
												I64Mul
												I64Sub
												I64Const $16
												I64Shl
												I64Or
												Tee R11
												I64Const $103
												I64Mul
												I64Const $10
												I64ShrU
												I64Const $4222189076152335
												I64And
												Tee R12
												Get R11
												I64Const $10
												Get R12
												I64Mul
												I64Sub
												I64Const $8
												I64Shl
												I64Or
												Set R9
												Br $0
											End
											Get R0
											I32WrapI64
											I64Load $24
											Get R0
											I32WrapI64
											I64Load $32
											I64Add
											I32WrapI64
											Get R9
											I64Const $3472328296227680304
											I64Or
											I64Const $64
											I64Const $8
											Get R1
											I32WrapI64
											I64Load $128
											I64Mul
											I64Sub
											I64ShrU
											I64Store $1
											Get R0
											I32WrapI64
											Get R0
											I32WrapI64
											I64Load $32
											I64Const $1
											Get R1
											I32WrapI64
											I64Load $128
											I64Add
											I64Add
											I64Store $32
										End
										Block
											Get R0
											I32WrapI64
											I64Load $80
											I64Eqz
											If
												Get R0
												I32WrapI64
												I64Load $24
												Get R0
												I32WrapI64
												I64Load $32
												I64Add
												I32WrapI64
												I64Const $34
												I64Store8 $0
												Get R0
												I32WrapI64
												Get R0
												I32WrapI64
												I64Load $32
												I64Const $1
												I64Add
												I64Store $32
											End
										End
									End
									Get R5
									Get R4
									I64Add
									Set R2
									Br $2
								End
								Get R3
								I64Const $9
								I64Eq
								If
									Get R4
									I64Const $40
									I64GtS
									If
										I64Const $0
										Set R2
										Br $3
									End
									Block
										Get R5
										Get R4
										I64Add
										Set R8
										Get R5
										Set R9
										Get R0
										I32WrapI64
										I64Load $0
										Get R5
										I64Add
										I32WrapI64
										I64Load8U $0
										I64Const $45
										I64Eq
										If
											Get R9
											I64Const $1
											I64Add
											Set R9
										End
										Get R8
										Set R10
										Get R9
										Set R11
										Block
											Loop
												Get R11
												Get R8
												I64LtS
												I32Eqz
												BrIf $1
												Get R0
												I32WrapI64
												I64Load $0
												Get R11
												I64Add
												I32WrapI64
												I64Load8U $0
												Tee R12
												I64Const $46
												I64Eq
												If
													Get R10
													Get R8
													I64Ne
													If
														I64Const $1
														Set R7
														Br $4
													End
													Get R11
													Set R10
												Else
													Get R12
													I64Const $48
													I64Sub
													I64Const $9
													I64GtU
													If
														I64Const $1
														Set R7
														Br $4
													End
												End
												Get R11
												I64Const $1
												I64Add
												Set R11
												Br $0
											End
										End
										Get R10
										Get R9
										I64Eq
										Get R10
										Get R8
										I64Const $1
										I64Sub
										I64Eq
										I32Or
										Get R8
										Get R10
										I64Sub
										I64Const $1
										I64Sub
										Get R1
										I32WrapI64
										I64Load $136
										I64GtS
										I32Or
										Get R10
										Get R9
										I64Sub
										Get R1
										I32WrapI64
										I64Load $120
										I64GtS
										I32Or
										Get R4
										I64Eqz
										I32Or
										If
											I64Const $1
											Set R7
											Br $1
										End
										Block
											Get R0
											I32WrapI64
											I64Load $80
											I64Eqz
											If
												Get R0
												I32WrapI64
												I64Load $24
												Get R0
												I32WrapI64
												I64Load $32
												I64Add
												I32WrapI64
												I64Const $34
												I64Store8 $0
												Get R0
												I32WrapI64
												Get R0
												I32WrapI64
												I64Load $32
												I64Const $1
												I64Add
												I64Store $32
											End
										End
										Get R0
										I32WrapI64
										I64Load $0
										Set R12
										Block
											I64Const $0
											Set R13
											Block
												Loop
													Get R13
													Get R4
													I64LtS
													I32Eqz
													BrIf $1
													Get R0
													I32WrapI64
													I64Load $24
													Get R0
													I32WrapI64
													I64Load $32
													Get R13
													I64Add
													I64Add
													I32WrapI64
													Get R12
													Get R5
													Get R13
													I64Add
													I64Add
													I32WrapI64
													I64Load $0
													I64Store $0
													Get R13
													I64Const $8
													I64Add
													Set R13
													Br $0
												End
											End
											Get R0
											I32WrapI64
											Get R0
											I32WrapI64
											I64Load $32
											Get R4
											I64Add
											I64Store $32
										End
										Block
											Get R0
											I32WrapI64
											I64Load $80
											I64Eqz
											If
												Get R0
												I32WrapI64
												I64Load $24
												Get R0
												I32WrapI64
												I64Load $32
												I64Add
												I32WrapI64
												I64Const $34
												I64Store8 $0
												Get R0
												I32WrapI64
												Get R0
												I32WrapI64
												I64Load $32
												I64Const $1
												I64Add
												I64Store $32
											End
										End
										I64Const $0
										Set R7
										Br $0
									End
								Else
									Get R3
									I64Const $10
									I64Sub
									Set R8
									Block
										Block
											Get R4
											I64Const $19
											I64Ne
											If
												Get R4
												I64Const $20
												I64Ne
												Get R0
												I32WrapI64
												I64Load $0
												Get R5
												I64Add
												I32WrapI64
												I64Load8U $19
												I64Const $90
												I64Ne
												I32Or
												If
													I64Const $-9223372036854775808
													Set R9
													Br $2
												End
											End
											Get R0
											I32WrapI64
											I64Load $0
											Get R5
											I64Add
											I32WrapI64
											I64Load $0
											I64Const $3256155501228994608
											I64Xor
											Set R10
											Get R0
											I32WrapI64
											I64Load $0
											Get R5
											I64Add
											I32WrapI64
											I64Load $8
											I64Const $3472339291346317360
											I64Xor
											Set R11
											Get R0
											I32WrapI64
											I64Load $0
											Get R5
											I64Add
											I32WrapI64
											I64Load $11
											I64Const $3472339291344613424
											I64Xor
											Set R12
											Get R10
											I64Const $8536140394893047414
											I64Add
											Get R10
											I64Or
											I64Const $-9187201950435737472
											I64And
											Get R11
											I64Const $8536140394893047414
											I64Add
											Get R11
											I64Or
											I64Const $-9187201950435737472
											I64And
											I64Or
											Get R12
											I64Const $8536140394893047414
											I64Add
											Get R12
											I64Or
											I64Const $-9187201950435737472
											I64And
											I64Or
											Get R10
											I64Const $-72056498821267456
											I64And
											I64Or
											Get R11
											I64Const $280375481794560
											I64And
											I64Or
											Get R12
											I64Const $280375481794560
											I64And
											I64Or
											I64Const $0
											I64Ne
											If
												I64Const $-9223372036854775808
												Set R9
												Br $1
											End
											Get R10
											I64Const $15
											I64And
											I64Const $1000
											I64Mul
											Get R10
											I64Const $8
											I64ShrU
											I64Const $15
											I64And
											I64Const $100
											I64Mul
											I64Add
											Get R10
											I64Const $16
											I64ShrU
											I64Const $15
											I64And
											I64Const $10
											I64Mul
											I64Add
											Get R10
											I64Const $24
											I64ShrU
											I64Const $15
											I64And
											I64Add
											Set R13
											Get R10
											I64Const $40
											I64ShrU
											I64Const $15
											I64And
											I64Const $10
											I64Mul
											Get R10
											I64Const $48
											I64ShrU
											I64Const $15
											I64And
											I64Add
											Set R14
											Get R11
											I64Const $15
											I64And
											I64Const $10
											I64Mul
											Get R11
											I64Const $8
											I64ShrU
											I64Const $15
											I64And
											I64Add
											Set R15
											Get R11
											I64Const $24
											I64ShrU
											I64Const $15
											I64And
											I64Const $10
											I64Mul
											Get R11
											I64Const $32
											I64ShrU
											I64Const $15
											I64And
											I64Add
											Set R10
											Get R11
											I64Const $48
											I64ShrU
											I64Const $15
											I64And
											I64Const $10
											I64Mul
											Get R11
											I64Const $56
											I64ShrU
											I64Const $15
											I64And
											I64Add
											Set R11
											Get R12
											I64Const $48
											I64ShrU
											I64Const $15
											I64And
											I64Const $10
											I64Mul
											Get R12
											I64Const $56
											I64ShrU
											I64Const $15
											I64And
											I64Add
											Set R12
											Get R13
											I64Eqz
											Get R14
											I64Const $1
											I64Sub
											I64Const $11
											I64GtU
											I32Or
											Get R15
											I64Const $1
											I64Sub
											I64Const $30
											I64GtU
											I32Or
											Get R10
											I64Const $23
											I64GtU
											I32Or
											Get R11
											I64Const $59
											I64GtU
											I32Or
											Get R12
											I64Const $59
											I64GtU
											I32Or
											If
												I64Const $-9223372036854775808
												Set R9
												Br $1
											End
											Get R15
											I64Const $28
											I64GtU
											If
												Get R14
												I64Const $2
												I64Eq
												If
													Get R15
													I64Const $29
													I64GtU
													Get R13
													I64Const $3
													I64And
													I64Const $0
													I64Ne
													I32Or
													Get R13
													I64Const $100
													I64RemU
													I64Eqz
													Get R13
													I64Const $400
													I64RemU
													I64Const $0
													I64Ne
													I32And
													I32Or
													If
														I64Const $-9223372036854775808
														Set R9
														Br $3
													End
												End
												Get R15
												I64Const $30
												I64GtU
												If
													Get R14
													I64Const $4
													I64Eq
													Get R14
													I64Const $6
													I64Eq
													I32Or
													Get R14
													I64Const $9
													I64Eq
													I32Or
													Get R14
													I64Const $11
													I64Eq
													I32Or
													If
														I64Const $-9223372036854775808
														Set R9
														Br $3
													End
												End
											End
											Get R14
											I64Const $2
											I64LeU
											If
												Get R13
												I64Const $1
												I64Sub
												Set R13
												Get R14
												I64Const $12
												I64Add
												Set R14
											End
											Get R15
											I64Const $365
											Get R13
											I64Mul
											Get R13
											I64Const $2
											I64ShrU
											I64Add
											Get R13
											I64Const $100
											I64DivU
											I64Sub
											Get R13
											I64Const $400
											I64DivU
											I64Add
											I64Const $153
											Get R14
											I64Const $3
											I64Sub
											I64Mul
											I64Const $2
											I64Add
											I64Const $5
											I64DivU
											I64Add
											I64Const $1
											I64Sub
											I64Add
											Tee R15
											I64Const $719468
											I64Sub
											I64Const $86400000
											I64Mul
											Get R10
											I64Const $60
											I64Mul
											Get R11
											I64Add
											I64Const $60
											I64Mul
											Get R12
											I64Add
											I64Const $1000
											I64Mul
											I64Add
											Set R9
											Br $0
										End
										Get R9
										I64Const $-9223372036854775808
										I64Eq
										If
											I64Const $1
											Set R7
											Br $1
										End
										Get R0
										I32WrapI64
										I64Load $80
										I64Eqz
										If
											Block
												Get R9
												I64Const $-62135596800000
												I64LtS
												Get R9
												I64Const $253402300799999
												I64GtS
												I32Or
												If
													I64Const $1
													Set R7
													Br $1
												End
												Get R0
												I32WrapI64
												I64Load $24
												Get R0
												I32WrapI64
												I64Load $32
												I64Add
												I32WrapI64
												I64Const $2910860695269497890
												I64Store $0
												Get R0
												I32WrapI64
												Get R0
												I32WrapI64
												I64Load $32
												I64Const $8
												I64Add
												I64Store $32
												Block
													Get R9
													Set R10
													Get R9
													I64Const $0
													I64LtS
													If
														Get R0
														I32WrapI64
														I64Load $24
														Get R0
														I32WrapI64
														I64Load $32
														I64Add
														I32WrapI64
														I64Const $45
														I64Store8 $0
														Get R0
														I32WrapI64
														Get R0
														I32WrapI64
														I64Load $32
														I64Const $1
														I64Add
														I64Store $32
														I64Const $0
														Get R10
														I64Sub
														Set R10
													End
													Get R10
													I64Const $10
													I64LtU
													If
														Get R0
														I32WrapI64
														I64Load $24
														Get R0
														I32WrapI64
														I64Load $32
														I64Add
														I32WrapI64
														Get R10
														I64Const $48
														I64Add
														I64Const $255
														I64And
														I64Store8 $0
														Get R0
														I32WrapI64
														Get R0
														I32WrapI64
														I64Load $32
														I64Const $1
														I64Add
														I64Store $32
													Else
														Get R10
														I64Const $100000000
														I64LtU
														If
															Get R10
															Set R11
															Block
																Block
																	Get R11
																	I64Const $10000
																	I64DivU
																	Get R11
																	I64Const $10000
																	I64RemU
																	I64Const $32
																	I64Shl
																	I64Or
																	Tee R13
																	I64Const $10486
																	I64Mul
																	I64Const $20
																	I64ShrU
																	I64Const $545460846719
																	I64And
																	Tee R14
																	Get R13
																	I64Const $100
																	Get R14
																	I64Mul
																	I64Sub
																	I64Const $16
																	I64Shl
																	I64Or
																	Tee R13
																	I64Const $103
																	I64Mul
																	I64Const $10
																	I64ShrU
																	I64Const $4222189076152335
																	I64And
																	Tee R14
																	Get R13
																	I64Const $10
																	Get R14
																	I64Mul
																	I64Sub
																	I64Const $8
																	I64Shl
																	I64Or
																	Set R12
																	Br $0
																End
																Get R12
																I64Ctz
																I64Const $56
																I64And
																Set R11
																Get R0
																I32WrapI64
																I64Load $24
																Get R0
																I32WrapI64
																I64Load $32
																I64Add
																I32WrapI64
																Get R12
																I64Const $3472328296227680304
																I64Or
																Get R11
																I64ShrU
																I64Store $0
																Get R0
																I32WrapI64
																Get R0
																I32WrapI64
																I64Load $32
																I64Const $8
																Get R11
																I64Const $3
																I64ShrU
																I64Sub
																I64Add
																I64Store $32
															End
														Else
															Get R10
															I64Const $10000000000000000
															I64LtU
															If
																Get R10
																I64Const $100000000
																I64DivU
																Set R11
																Block
																	Block
																		Get R11
																		I64Const $10000
																		I64DivU
																		Get R11
																		I64Const $10000
																		I64RemU
																		I64Const $32
																		I64Shl
																		I64Or
																		Tee R13
																		I64Const $10486
																		I64Mul
																		I64Const $20
																		I64ShrU
																		I64Const $545460846719
																		I64And
																		Tee R14
																		Get R13
																		I64Const $100
																		Get R14
																		I64Mul
																		I64Sub
																		I64Const $16
																		I64Shl
																		I64Or
																		Tee R13
																		I64Const $103
																		I64Mul
																		I64Const $10
																		I64ShrU
																		I64Const $4222189076152335
																		I64And
																		Tee R14
																		Get R13
																		I64Const $10
																		Get R14
																		I64Mul
																		I64Sub
																		I64Const $8
																		I64Shl
																		I64Or
																		Set R12
																		Br $0
																	End
																	Get R12
																	I64Ctz
																	I64Const $56
																	I64And
																	Set R11
																	Get R0
																	I32WrapI64
																	I64Load $24
																	Get R0
																	I32WrapI64
																	I64Load $32
																	I64Add
																	I32WrapI64
																	Get R12
																	I64Const $3472328296227680304
																	I64Or
																	Get R11
																	I64ShrU
																	I64Store $0
																	Get R0
																	I32WrapI64
																	Get R0
																	I32WrapI64
																	I64Load $32
																	I64Const $8
																	Get R11
																	I64Const $3
																	I64ShrU
																	I64Sub
																	I64Add
																	I64Store $32
																End
															Else
																Get R10
																I64Const $10000000000000000
																I64DivU
																Set R11
																Block
																	Block
																		Get R11
																		I64Const $10000
																		I64DivU
																		Get R11
																		I64Const $10000
																		I64RemU
																		I64Const $32
																		I64Shl
																		I64Or
																		Tee R13
																		I64Const $10486
																		I64Mul
																		I64Const $20
																		I64ShrU
																		I64Const $545460846719
																		I64And
																		Tee R14
																		Get R13
																		I64Const $100
																		Get R14
																		I64Mul
																		I64Sub
																		I64Const $16
																		I64Shl
																		I64Or
																		Tee R13
																		I64Const $103
																		I64Mul
																		I64Const $10
																		I64ShrU
																		I64Const $4222189076152335
																		I64And
																		Tee R14
																		Get R13
																		I64Const $10
																		Get R14
																		I64Mul
																		I64Sub
																		I64Const $8
																		I64Shl
																		I64Or
																		Set R12
																		Br $0
																	End
																	Get R12
																	I64Ctz
																	I64Const $56
																	I64And
																	Set R11
																	Get R0
																	I32WrapI64
																	I64Load $24
																	Get R0
																	I32WrapI64
																	I64Load $32
																	I64Add
																	I32WrapI64
																	Get R12
																	I64Const $3472328296227680304
																	I64Or
																	Get R11
																	I64ShrU
																	I64Store $0
																	Get R0
																	I32WrapI64
																	Get R0
																	I32WrapI64
																	I64Load $32
																	I64Const $8
																	Get R11
																	I64Const $3
																	I64ShrU
																	I64Sub
																	I64Add
																	I64Store $32
																End
																Get R10
																I64Const $100000000
																I64DivU
																I64Const $100000000
																I64RemU
																Set R11
																Block
																	Block
																		Get R11
																		I64Const $10000
																		I64DivU
																		Get R11
																		I64Const $10000
																		I64RemU
																		I64Const $32
																		I64Shl
																		I64Or
																		Tee R13
																		I64Const $10486
																		I64Mul
																		I64Const $20
																		I64ShrU
																		I64Const $545460846719
																		I64And
																		Tee R14
																		Get R13
																		I64Const $100
																		Get R14
																		I64Mul
																		I64Sub
																		I64Const $16
																		I64Shl
																		I64Or
																		Tee R13
																		I64Const $103
																		I64Mul
																		I64Const $10
																		I64ShrU
																		I64Const $4222189076152335
																		I64And
																		Tee R14
																		Get R13
																		I64Const $10
																		Get R14
																		I64Mul
																		I64Sub
																		I64Const $8
																		I64Shl
																		I64Or
																		Set R12
																		Br $0
																	End
																	Get R0
																	I32WrapI64
																	I64Load $24
																	Get R0
																	I32WrapI64
																	I64Load $32
																	I64Add
																	I32WrapI64
																	Get R12
																	I64Const $3472328296227680304
																	I64Or
																	I64Store $0
																	Get R0
																	I32WrapI64
																	Get R0
																	I32WrapI64
																	I64Load $32
																	I64Const $8
																	I64Add
																	I64Store $32
																End
															End
															Get R10
															I64Const $100000000
															I64RemU
															Set R11
															Block
																Block
																	Get R11
																	I64Const $10000
																	I64DivU
																	Get R11
																	I64Const $10000
																	I64RemU
																	I64Const $32
																	I64Shl
																	I64Or
																	Tee R13
																	I64Const $10486
																	I64Mul
																	I64Const $20
																	I64ShrU
																	I64Const $545460846719
																	I64And
																	Tee R14
																	Get R13
																	I64Const $100
																	Get R14
																	I64Mul
																	I64Sub
																	I64Const $16
																	I64Shl
																	I64Or
																	Tee R13
																	I64Const $103
																	I64Mul
																	I64Const $10
																	I64ShrU
																	I64Const $4222189076152335
																	I64And
																	Tee R14
																	Get R13
																	I64Const $10
																	Get R14
																	I64Mul
																	I64Sub
																	I64Const $8
																	I64Shl
																	I64Or
																	Set R12
																	Br $0
																End
																Get R0
																I32WrapI64
																I64Load $24
																Get R0
																I32WrapI64
																I64Load $32
																I64Add
																I32WrapI64
																Get R12
																I64Const $3472328296227680304
																I64Or
																I64Store $0
																Get R0
																I32WrapI64
																Get R0
																I32WrapI64
																I64Load $32
																I64Const $8
																I64Add
																I64Store $32
															End
														End
													End
												End
												Get R8
												I64Const $0
												I64Ne
												If
													Get R0
													I32WrapI64
													I64Load $24
													Get R0
													I32WrapI64
													I64Load $32
													I64Add
													I32WrapI64
													I64Const $206966894635
													I64Store $0
													Get R0
													I32WrapI64
													Get R0
													I32WrapI64
													I64Load $32
													I64Const $5
													I64Add
													I64Store $32
												End
												Get R0
												I32WrapI64
												I64Load $24
												Get R0
												I32WrapI64
												I64Load $32
												I64Add
												I32WrapI64
												I64Const $573529129
												I64Store $0
												Get R0
												I32WrapI64
												Get R0
												I32WrapI64
												I64Load $32
												I64Const $4
												I64Add
												I64Store $32
												I64Const $0
												Set R7
												Br $0
											End
											Br $1
										End
										Get R0
										I32WrapI64
										I64Load $0
										Set R10
										Block
											I64Const $0
											Set R11
											Block
												Loop
													Get R11
													I64Const $19
													I64LtS
													I32Eqz
													BrIf $1
													Get R0
													I32WrapI64
													I64Load $24
													Get R0
													I32WrapI64
													I64Load $32
													Get R11
													I64Add
													I64Add
													I32WrapI64
													Get R10
													Get R5
													Get R11
													I64Add
													I64Add
													I32WrapI64
													I64Load $0
													I64Store $0
													Get R11
													I64Const $8
													I64Add
													Set R11
													Br $0
												End
											End
											Get R0
											I32WrapI64
											Get R0
											I32WrapI64
											I64Load $32
											I64Const $19
											I64Add
											I64Store $32
										End
										Get R8
										I64Const $0
										I64Ne
										If
											Get R0
											I32WrapI64
											I64Load $24
											Get R0
											I32WrapI64
											I64Load $32
											I64Add
											I32WrapI64
											I64Const $90
											I64Store8 $0
											Get R0
											I32WrapI64
											Get R0
											I32WrapI64
											I64Load $32
											I64Const $1
											I64Add
											I64Store $32
										End
										I64Const $0
										Set R7
										Br $0
									End
								End
							End
							Get R7
							I64Const $0
							I64Ne
							If
								I64Const $0
								Set R2
								Br $1
							End
							Get R5
							Get R4
							I64Add
							Set R2
							Br $0
						End
						Br $0
					End
					Get R2
					I64Const $0
					I64Ne
					If
						Get R3
						I64Const $14
						I64LtU
						If
							Get R1
							I32WrapI64
							I64Load $56
							Set R4
							Get R1
							I32WrapI64
							I64Load $64
							Set R5
							Block
								I64Const $0
								Set R6
								Block
									Loop
										Get R6
										Get R5
										I64LtS
										I32Eqz
										BrIf $1
										Get R0
										I32WrapI64
										I64Load $24
										Get R0
										I32WrapI64
										I64Load $32
										Get R6
										I64Add
										I64Add
										I32WrapI64
										Get R4
										I64Const $0
										Get R6
										I64Add
										I64Add
										I32WrapI64
										I64Load $0
										I64Store $0
										Get R6
										I64Const $8
										I64Add
										Set R6
										Br $0
									End
								End
								Get R0
								I32WrapI64
								Get R0
								I32WrapI64
								I64Load $32
								Get R5
								I64Add
								I64Store $32
							End
						End
						Get R1
						I32WrapI64
						I64Load $160
						I64Const $0
						I64Ne
						If
							Get R0
							I32WrapI64
							I64Load $88
							Get R1
							I32WrapI64
							I64Load $160
							I64Const $1
							I64Sub
							I64Const $32
							I64Mul
							I64Add
							Tee R4
							I32WrapI64
							Get R0
							I32WrapI64
							I64Load $104
							I64Store $0
							Get R4
							I32WrapI64
							Get R2
							I64Store $8
							Get R4
							I32WrapI64
							Get R0
							I32WrapI64
							I64Load $96
							Get R1
							I32WrapI64
							I64Load $48
							I64Add
							I64Store $16
							Get R4
							I32WrapI64
							Get R0
							I32WrapI64
							I64Load $32
							I64Store $24
						End
					End
					Get R2
					Set R2
					Br $0
				End
				Get R2
				I64Eqz
				If
					Get R0
					I32WrapI64
					Get R0
					I32WrapI64
					I64Load $96
					I64Store $32
					Get SP
					I64Const $1
					I64Store ret+8(FP)
					RET
				End
			End
			Get R0
			I32WrapI64
			Get R2
			I64Store $8
			Get R0
			I32WrapI64
			Get R0
			I32WrapI64
			I64Load $56
			I64Const $1
			I64Add
			I64Store $56
			Br $0
		End
	End
	Get SP
	I64Const $0
	I64Store ret+8(FP)
	RET
	Unreachable
	RET

TEXT ·Gather(SB), NOSPLIT, $0-40
	I64Load out+0(FP)
	Set R0
	I64Load o+8(FP)
	Set R1
	I64Load pieces+16(FP)
	Set R2
	I64Load count+24(FP)
	Set R3
	I64Const $0
	Set R4
	Block
		Loop
			Get R4
			Get R3
			I64LtS
			I32Eqz
			BrIf $1
			Get R2
			Get R4
			I64Const $16
			I64Mul
			I64Add
			Tee R5
			I32WrapI64
			I64Load $8
			Tee R6
			I64Const $512
			I64GtS
			If
				Get R0
				Get R1
				I64Add
				I32WrapI64
				Get R5
				I32WrapI64
				I64Load $0
				I64Const $0
				I64Add
				I32WrapI64
				Get R6
				I32WrapI64
				MemoryCopy
				Get R1
				Get R6
				I64Add
				Set R1
			Else
				Get R5
				I32WrapI64
				I64Load $0
				Set R7
				Block
					I64Const $0
					Set R8
					Block
						Loop
							Get R8
							Get R6
							I64LtS
							I32Eqz
							BrIf $1
							Get R0
							Get R1
							Get R8
							I64Add
							I64Add
							I32WrapI64
							Get R7
							I64Const $0
							Get R8
							I64Add
							I64Add
							I32WrapI64
							I64Load $0
							I64Store $0
							Get R8
							I64Const $8
							I64Add
							Set R8
							Br $0
						End
					End
					Get R1
					Get R6
					I64Add
					Set R1
					Br $0
				End
			End
			Get R4
			I64Const $1
			I64Add
			Set R4
			Br $0
		End
	End
	Get SP
	Get R1
	I64Store ret+32(FP)
	RET
	Unreachable
	RET

TEXT ·Hash(SB), NOSPLIT, $0-32
	I64Load p+0(FP)
	Set R0
	I64Load n+8(FP)
	Set R1
	I64Load h+16(FP)
	Set R2
	I64Const $0
	Set R3
	Block
		Loop
			Get R3
			I64Const $8
			I64Add
			Get R1
			I64LeS
			I32Eqz
			BrIf $1
			Get R2
			Get R0
			Get R3
			I64Add
			I32WrapI64
			I64Load $0
			I64Xor
			I64Const $1099511628211
			I64Mul
			Tee R2
			Get R2
			I64Const $29
			I64ShrU
			I64Xor
			Set R2
			Get R3
			I64Const $8
			I64Add
			Set R3
			Br $0
		End
	End
	Block
		Loop
			Get R3
			Get R1
			I64LtS
			I32Eqz
			BrIf $1
			Get R2
			Get R0
			Get R3
			I64Add
			I32WrapI64
			I64Load8U $0
			I64Xor
			I64Const $1099511628211
			I64Mul
			Set R2
			Get R3
			I64Const $1
			I64Add
			Set R3
			Br $0
		End
	End
	Get SP
	Get R2
	I64Store ret+24(FP)
	RET
	Unreachable
	RET

TEXT ·Find(SB), NOSPLIT, $0-32
	I64Load p+0(FP)
	Set R0
	I64Load n+8(FP)
	Set R1
	I64Load word+16(FP)
	Set R2
	I64Const $0
	Set R3
	Block
		Loop
			Get R3
			Get R1
			I64LtS
			I32Eqz
			BrIf $1
			Get R0
			Get R3
			I64Add
			I32WrapI64
			I64Load $0
			I64Const $6872316419617283935
			I64Xor
			Tee R4
			I64Const $72340172838076673
			I64Sub
			Get R4
			I64Const $-1
			I64Xor
			I64And
			I64Const $-9187201950435737472
			I64And
			Tee R4
			I64Eqz
			If
				Get R3
				I64Const $8
				I64Add
				Set R3
				Br $1
			End
			Get R3
			Get R4
			I64Ctz
			I64Const $3
			I64ShrS
			I64Add
			Tee R3
			Get R1
			I64LtS
			If
				Get R0
				Get R3
				I64Add
				I32WrapI64
				I64Load $0
				Get R2
				I64Eq
				If
					Get SP
					I64Const $1
					I64Store ret+24(FP)
					RET
				End
			End
			Get R3
			I64Const $1
			I64Add
			Set R3
			Br $0
		End
	End
	Get SP
	I64Const $0
	I64Store ret+24(FP)
	RET
	Unreachable
	RET

TEXT ·Next(SB), NOSPLIT, $0-16
	I64Load s+0(FP)
	Tee R0
	I32WrapI64
	I64Load $0
	Set R1
	I64Const $1
	Set R2
	Get R0
	I32WrapI64
	I64Const $0
	I64Store $72
	Get R0
	I32WrapI64
	I64Load $56
	I64Eqz
	If
		I64Const $0
		Set R2
		Get R0
		I32WrapI64
		I64Const $1
		I64Store $72
	End
	Get R0
	I32WrapI64
	I64Const $0
	I64Store $104
	Block
		Loop
			Get R2
			I64Const $3
			I64LtS
			I32Eqz
			BrIf $1
			Get R2
			I64Const $2
			I64LtS
			If
				Get R0
				I32WrapI64
				I64Const $0
				I64Store $120
			End
			Get R0
			I32WrapI64
			I64Const $0
			I64Store $136
			Get R0
			I32WrapI64
			I64Const $0
			I64Store $144
			Get R0
			I32WrapI64
			I64Const $0
			I64Store $152
			Get R0
			I32WrapI64
			I64Const $0
			I64Store $168
			Block
				Get R0
				I32WrapI64
				I64Load $0
				Set R4
				Get R0
				I32WrapI64
				I64Load $8
				Set R5
				Block
					Loop
						Get R5
						Get R0
						I32WrapI64
						I64Load $16
						I64Const $32
						I64Sub
						I64LtS
						I32Eqz
						BrIf $1
						Get R4
						Get R5
						I64Add
						I32WrapI64
						I64Load8U $0
						Tee R6
						I64Const $13
						I64Eq
						If
							Get R4
							Get R5
							I64Add
							I32WrapI64
							I64Load8U $1
							I64Const $10
							I64Ne
							If
								I64Const $0
								Set R3
								Br $4
							End
							Get R0
							I32WrapI64
							Get R5
							I64Const $2
							I64Add
							I64Store $8
							I64Const $1
							Set R3
							Br $3
						End
						Get R6
						I64Const $32
						I64LeU
						Get R6
						I64Const $127
						I64GtU
						I32Or
						Get R6
						I64Const $45
						I64Eq
						I32Or
						If
							I64Const $0
							Set R3
							Br $3
						End
						Get R5
						Set R7
						Block
							Loop
								Get R7
								Get R0
								I32WrapI64
								I64Load $16
								I64Const $32
								I64Sub
								I64LtS
								I32Eqz
								BrIf $1
								Get R4
								Get R7
								I64Add
								I32WrapI64
								I64Load $0
								Tee R8
								I64Const $2314885530818453536
								I64Sub
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
									Get R7
									Get R9
									I64Ctz
									I64Const $3
									I64ShrS
									I64Add
									Set R7
									Br $2
								End
								Get R7
								I64Const $8
								I64Add
								Set R7
								Br $0
							End
						End
						Get R7
						Get R0
						I32WrapI64
						I64Load $16
						I64Const $32
						I64Sub
						I64GeS
						If
							I64Const $0
							Set R3
							Br $3
						End
						Get R4
						Get R7
						I64Add
						I32WrapI64
						I64Load8U $0
						I64Const $13
						I64Ne
						Get R4
						Get R7
						I64Add
						I32WrapI64
						I64Load8U $1
						I64Const $10
						I64Ne
						I32Or
						If
							I64Const $0
							Set R3
							Br $3
						End
						Block
							Get R4
							Get R5
							I64Add
							I32WrapI64
							I64Load $0
							I64Const $2314885530818453536
							I64Or
							Tee R9
							I64Const $3275364211029340003
							I64Eq
							If
								Get R4
								Get R5
								I64Add
								I32WrapI64
								I64Load $8
								I64Const $2314885530818453536
								I64Or
								Tee R9
								I64Const $4294967295
								I64And
								I64Const $1701869940
								I64Eq
								If
									Get R5
									I64Const $12
									I64Add
									Set R10
									Get R0
									I32WrapI64
									I64ExtendI32U
									I64Const $104
									I64Add
									Set R11
									Block
										Get R4
										Get R10
										I64Add
										I32WrapI64
										I64Load8U $0
										Tee R12
										I64Const $32
										I64Eq
										Get R12
										I64Const $127
										I64GtU
										I32Or
										If
											I64Const $0
											Set R8
											Br $1
										End
										Get R12
										I64Const $58
										I64Eq
										Get R11
										I32WrapI64
										I64Load $0
										I64Eqz
										I32And
										If
											Get R11
											I32WrapI64
											Get R10
											I64Const $1
											I64Add
											I64Store $0
											Get R11
											I32WrapI64
											Get R7
											I64Store $8
										End
										I64Const $1
										Set R8
										Br $0
									End
									Br $2
								End
								Get R9
								I64Const $65535
								I64And
								I64Const $25705
								I64Eq
								If
									Get R5
									I64Const $10
									I64Add
									Set R10
									Get R0
									I32WrapI64
									I64ExtendI32U
									I64Const $120
									I64Add
									Set R11
									Block
										Get R4
										Get R10
										I64Add
										I32WrapI64
										I64Load8U $0
										Tee R12
										I64Const $32
										I64Eq
										Get R12
										I64Const $127
										I64GtU
										I32Or
										If
											I64Const $0
											Set R8
											Br $1
										End
										Get R12
										I64Const $58
										I64Eq
										Get R11
										I32WrapI64
										I64Load $0
										I64Eqz
										I32And
										If
											Get R11
											I32WrapI64
											Get R10
											I64Const $1
											I64Add
											I64Store $0
											Get R11
											I32WrapI64
											Get R7
											I64Store $8
										End
										I64Const $1
										Set R8
										Br $0
									End
									Br $2
								End
								Get R9
								I64Const $281474976710655
								I64And
								I64Const $114849160783212
								I64Eq
								If
									Get R5
									I64Const $14
									I64Add
									Set R10
									Get R0
									I32WrapI64
									I64ExtendI32U
									I64Const $136
									I64Add
									Set R11
									Block
										Get R4
										Get R10
										I64Add
										I32WrapI64
										I64Load8U $0
										Tee R12
										I64Const $32
										I64Eq
										Get R12
										I64Const $127
										I64GtU
										I32Or
										If
											I64Const $0
											Set R8
											Br $1
										End
										Get R12
										I64Const $58
										I64Eq
										Get R11
										I32WrapI64
										I64Load $0
										I64Eqz
										I32And
										If
											Get R11
											I32WrapI64
											Get R10
											I64Const $1
											I64Add
											I64Store $0
											Get R11
											I32WrapI64
											Get R7
											I64Store $8
										End
										I64Const $1
										Set R8
										Br $0
									End
									Br $2
								End
								I64Const $1
								Set R8
								Br $1
							End
							Get R9
							I64Const $7957695015157985132
							I64Eq
							If
								Get R5
								I64Const $8
								I64Add
								Set R10
								Get R0
								I32WrapI64
								I64ExtendI32U
								I64Const $152
								I64Add
								Set R11
								Block
									Get R4
									Get R10
									I64Add
									I32WrapI64
									I64Load8U $0
									Tee R12
									I64Const $32
									I64Eq
									Get R12
									I64Const $127
									I64GtU
									I32Or
									If
										I64Const $0
										Set R8
										Br $1
									End
									Get R12
									I64Const $58
									I64Eq
									Get R11
									I32WrapI64
									I64Load $0
									I64Eqz
									I32And
									If
										Get R11
										I32WrapI64
										Get R10
										I64Const $1
										I64Add
										I64Store $0
										Get R11
										I32WrapI64
										Get R7
										I64Store $8
									End
									I64Const $1
									Set R8
									Br $0
								End
								Br $1
							End
							Get R9
							I64Const $7089075250120385906
							I64Eq
							If
								Get R4
								Get R5
								I64Add
								I32WrapI64
								I64Load $8
								I64Const $2314885530818453536
								I64Or
								Tee R9
								I64Const $7309955144843095145
								I64Eq
								If
									I64Const $0
									Set R8
									Br $2
								End
								Get R9
								I64Const $8315178152979164265
								I64Eq
								If
									Get R4
									Get R5
									I64Add
									I32WrapI64
									I64Load $16
									I64Const $2314885530818453536
									I64Or
									I64Const $16777215
									I64And
									I64Const $7629941
									I64Eq
									If
										Get R4
										Get R5
										I64Add
										I32WrapI64
										I64Load8U $19
										I64Const $58
										I64Ne
										If
											I64Const $0
											Set R8
											Br $4
										End
										Get R5
										I64Const $19
										I64Add
										Set R10
										Get R0
										I32WrapI64
										I64ExtendI32U
										I64Const $168
										I64Add
										Set R11
										Block
											Get R4
											Get R10
											I64Add
											I32WrapI64
											I64Load8U $0
											Tee R12
											I64Const $32
											I64Eq
											Get R12
											I64Const $127
											I64GtU
											I32Or
											If
												I64Const $0
												Set R8
												Br $1
											End
											Get R12
											I64Const $58
											I64Eq
											Get R11
											I32WrapI64
											I64Load $0
											I64Eqz
											I32And
											If
												Get R11
												I32WrapI64
												Get R10
												I64Const $1
												I64Add
												I64Store $0
												Get R11
												I32WrapI64
												Get R7
												I64Store $8
											End
											I64Const $1
											Set R8
											Br $0
										End
										Br $3
									End
								End
								I64Const $1
								Set R8
								Br $1
							End
							Get R9
							I64Const $281474976710655
							I64And
							I64Const $111519588180339
							I64Eq
							If
								Get R0
								I32WrapI64
								I64Const $1
								I64Store $184
							End
							I64Const $1
							Set R8
							Br $0
						End
						Get R8
						I64Eqz
						If
							I64Const $0
							Set R3
							Br $3
						End
						Get R7
						I64Const $2
						I64Add
						Set R5
						Br $0
					End
				End
				I64Const $0
				Set R3
				Br $0
			End
			Get R3
			I64Eqz
			Get R0
			I32WrapI64
			I64Load $184
			I64Const $0
			I64Ne
			I32Or
			If
				Get SP
				I64Const $0
				I64Store ret+8(FP)
				RET
			End
			Get R2
			I64Eqz
			If
				Block
					Get R0
					I32WrapI64
					I64Load $0
					Set R4
					Get R0
					I32WrapI64
					I64Load $104
					Set R5
					Get R0
					I32WrapI64
					I64Load $112
					Get R5
					I64Sub
					I64Const $27
					I64Sub
					Set R6
					Get R5
					I64Eqz
					Get R6
					I64Const $0
					I64LeS
					I32Or
					If
						I64Const $0
						Set R3
						Br $1
					End
					Get R4
					Get R5
					I64Add
					I32WrapI64
					I64Load $0
					I64Const $7021227767827361056
					I64Ne
					Get R4
					Get R5
					I64Add
					I32WrapI64
					I64Load $8
					I64Const $7234320770639295602
					I64Ne
					I32Or
					Get R4
					Get R5
					I64Add
					I32WrapI64
					I64Load $16
					I64Const $7017855570009006139
					I64Ne
					I32Or
					If
						I64Const $0
						Set R3
						Br $1
					End
					Get R4
					Get R5
					I64Add
					I32WrapI64
					I64Load $24
					I64Const $16777215
					I64And
					I64Const $4028786
					I64Ne
					If
						I64Const $0
						Set R3
						Br $1
					End
					Get R5
					I64Const $27
					I64Add
					Set R5
					Get R4
					Get R5
					I64Add
					I32WrapI64
					I64Load8U $0
					I64Const $34
					I64Eq
					Get R4
					Get R5
					I64Add
					I32WrapI64
					I64Load8U $0
					I64Const $32
					I64Eq
					I32Or
					Get R4
					Get R5
					Get R6
					I64Add
					I64Const $1
					I64Sub
					I64Add
					I32WrapI64
					I64Load8U $0
					I64Const $32
					I64Eq
					I32Or
					If
						I64Const $0
						Set R3
						Br $1
					End
					I64Const $0
					Set R7
					Block
						Loop
							Get R7
							Get R6
							I64LtS
							I32Eqz
							BrIf $1
							Get R4
							Get R5
							Get R7
							I64Add
							I64Add
							I32WrapI64
							I64Load $0
							I64Const $4268070197446523707
							I64Xor
							Tee R8
							I64Const $72340172838076673
							I64Sub
							Get R8
							I64Const $-1
							I64Xor
							I64And
							I64Const $-9187201950435737472
							I64And
							Tee R8
							I64Const $0
							I64Ne
							If
								Get R7
								Get R8
								I64Ctz
								I64Const $3
								I64ShrS
								I64Add
								Get R6
								I64LtS
								If
									I64Const $0
									Set R3
									Br $4
								End
							End
							Get R7
							I64Const $8
							I64Add
							Set R7
							Br $0
						End
					End
					Get R6
					Get R0
					I32WrapI64
					I64Load $32
					I64Const $2
					I64Sub
					I64Eq
					If
						Get R0
						I32WrapI64
						I64Load $24
						Set R8
						Block
							I64Const $0
							Set R9
							Block
								Loop
									Get R9
									I64Const $8
									I64Add
									Get R6
									I64LeS
									I32Eqz
									BrIf $1
									Get R4
									Get R5
									Get R9
									I64Add
									I64Add
									I32WrapI64
									I64Load $0
									Get R8
									I64Const $2
									Get R9
									I64Add
									I64Add
									I32WrapI64
									I64Load $0
									I64Ne
									If
										I64Const $0
										Set R7
										Br $3
									End
									Get R9
									I64Const $8
									I64Add
									Set R9
									Br $0
								End
							End
							Block
								Loop
									Get R9
									Get R6
									I64LtS
									I32Eqz
									BrIf $1
									Get R4
									Get R5
									Get R9
									I64Add
									I64Add
									I32WrapI64
									I64Load8U $0
									Get R8
									I64Const $2
									Get R9
									I64Add
									I64Add
									I32WrapI64
									I64Load8U $0
									I64Ne
									If
										I64Const $0
										Set R7
										Br $3
									End
									Get R9
									I64Const $1
									I64Add
									Set R9
									Br $0
								End
							End
							I64Const $1
							Set R7
							Br $0
						End
						Get R7
						I64Const $0
						I64Ne
						If
							I64Const $0
							Set R3
							Br $2
						End
					End
					Get R0
					I32WrapI64
					Get R5
					I64Store $40
					Get R0
					I32WrapI64
					Get R6
					I64Store $48
					Get R0
					I32WrapI64
					I64Load $8
					Set R8
					Block
						Get R0
						I32WrapI64
						I64Load $0
						Set R9
						Get R0
						I32WrapI64
						I64Load $48
						Set R10
						Get R8
						I64Const $2
						I64Add
						Get R10
						I64Add
						Get R0
						I32WrapI64
						I64Load $16
						I64GtS
						If
							I64Const $0
							Set R5
							Br $1
						End
						Get R9
						Get R8
						I64Add
						I32WrapI64
						I64Load8U $0
						I64Const $45
						I64Ne
						Get R9
						Get R8
						I64Add
						I32WrapI64
						I64Load8U $1
						I64Const $45
						I64Ne
						I32Or
						If
							I64Const $0
							Set R5
							Br $1
						End
						Get R8
						I64Const $2
						I64Add
						Set R12
						Get R0
						I32WrapI64
						I64Load $40
						Set R13
						Block
							I64Const $0
							Set R14
							Block
								Loop
									Get R14
									I64Const $8
									I64Add
									Get R10
									I64LeS
									I32Eqz
									BrIf $1
									Get R9
									Get R12
									Get R14
									I64Add
									I64Add
									I32WrapI64
									I64Load $0
									Get R9
									Get R13
									Get R14
									I64Add
									I64Add
									I32WrapI64
									I64Load $0
									I64Ne
									If
										I64Const $0
										Set R11
										Br $3
									End
									Get R14
									I64Const $8
									I64Add
									Set R14
									Br $0
								End
							End
							Block
								Loop
									Get R14
									Get R10
									I64LtS
									I32Eqz
									BrIf $1
									Get R9
									Get R12
									Get R14
									I64Add
									I64Add
									I32WrapI64
									I64Load8U $0
									Get R9
									Get R13
									Get R14
									I64Add
									I64Add
									I32WrapI64
									I64Load8U $0
									I64Ne
									If
										I64Const $0
										Set R11
										Br $3
									End
									Get R14
									I64Const $1
									I64Add
									Set R14
									Br $0
								End
							End
							I64Const $1
							Set R11
							Br $0
						End
						Get R11
						I64Eqz
						If
							I64Const $0
							Set R5
							Br $1
						End
						Get R8
						I64Const $2
						I64Add
						Get R10
						I64Add
						Set R5
						Br $0
					End
					Get R5
					I64Eqz
					If
						I64Const $0
						Set R3
						Br $1
					End
					Get R0
					I32WrapI64
					I64Load $16
					Set R8
					Block
						Get R5
						I64Const $2
						I64Add
						Get R8
						I64GtS
						If
							I64Const $0
							Set R5
							Br $1
						End
						Get R4
						Get R5
						I64Add
						I32WrapI64
						I64Load8U $0
						I64Const $13
						I64Ne
						Get R4
						Get R5
						I64Add
						I32WrapI64
						I64Load8U $1
						I64Const $10
						I64Ne
						I32Or
						If
							I64Const $0
							Set R5
							Br $1
						End
						Get R5
						I64Const $2
						I64Add
						Set R5
						Br $0
					End
					Get R5
					I64Eqz
					If
						I64Const $0
						Set R3
						Br $1
					End
					Get R0
					I32WrapI64
					Get R5
					I64Store $8
					Get R0
					I32WrapI64
					I64Const $1
					I64Store $56
					I64Const $1
					Set R3
					Br $0
				End
			End
			Get R2
			I64Const $1
			I64Eq
			If
				Get R0
				I32WrapI64
				I64Load $8
				Set R4
				Block
					Get R1
					Get R4
					I64Add
					I32WrapI64
					I64Load $0
					I64Const $3543824036068086856
					I64Ne
					If
						I64Const $0
						Set R3
						Br $1
					End
					Get R1
					Get R4
					I64Add
					I32WrapI64
					I64Load8U $8
					I64Const $32
					I64Ne
					Get R1
					Get R4
					I64Add
					I32WrapI64
					I64Load8U $9
					I64Const $50
					I64Ne
					I32Or
					If
						I64Const $0
						Set R3
						Br $1
					End
					Get R1
					Get R4
					I64Add
					I32WrapI64
					I64Load8U $10
					I64Const $48
					I64Sub
					Set R5
					Get R1
					Get R4
					I64Add
					I32WrapI64
					I64Load8U $11
					I64Const $48
					I64Sub
					Set R6
					Get R5
					I64Const $9
					I64GtU
					Get R6
					I64Const $9
					I64GtU
					I32Or
					If
						I64Const $0
						Set R3
						Br $1
					End
					Get R1
					Get R4
					I64Add
					I32WrapI64
					I64Load8U $12
					I64Const $32
					I64Ne
					Get R1
					Get R4
					I64Add
					I32WrapI64
					I64Load8U $12
					I64Const $13
					I64Ne
					I32And
					If
						I64Const $0
						Set R3
						Br $1
					End
					Get R5
					I64Eqz
					If
						Get R6
						I64Const $2
						I64Eq
						Get R6
						I64Const $5
						I64GtU
						I32Or
						If
							I64Const $0
							Set R3
							Br $2
						End
					End
					I64Const $1
					Set R3
					Br $0
				End
			End
			Get R3
			I64Eqz
			If
				Get SP
				I64Const $0
				I64Store ret+8(FP)
				RET
			End
			Get R2
			I64Const $1
			I64Add
			Set R2
			Br $0
		End
	End
	Block
		I64Const $0
		Set R4
		I64Const $1
		Set R5
		Get R0
		I32WrapI64
		I64Load $136
		I64Const $0
		I64Ne
		If
			Get R0
			I32WrapI64
			I64ExtendI32U
			I64Const $136
			I64Add
			Set R6
			Block
				Get R6
				I32WrapI64
				I64Load $0
				Set R7
				Get R6
				I32WrapI64
				I64Load $8
				Set R8
				Block
					Block
						Loop
							Get R7
							Get R8
							I64LtS
							I32Eqz
							BrIf $1
							Get R1
							Get R7
							I64Add
							I32WrapI64
							I64Load8U $0
							I64Const $32
							I64Ne
							If
								Br $2
							End
							Get R7
							I64Const $1
							I64Add
							Set R7
							Br $0
						End
					End
					Get R7
					Get R8
					I64LtS
					If
						Get R1
						Get R7
						I64Add
						I32WrapI64
						I64Load8U $0
						I64Const $127
						I64GtU
						If
							I64Const $0
							Set R7
							Br $2
						End
					End
					Get R7
					Set R7
					Br $0
				End
				Block
					Block
						Loop
							Get R7
							Get R8
							I64LtS
							I32Eqz
							BrIf $1
							Get R1
							Get R8
							I64Const $1
							I64Sub
							I64Add
							I32WrapI64
							I64Load8U $0
							I64Const $32
							I64Ne
							If
								Br $2
							End
							Get R8
							I64Const $1
							I64Sub
							Set R8
							Br $0
						End
					End
					Get R7
					Get R8
					I64LtS
					If
						Get R1
						Get R8
						I64Const $1
						I64Sub
						I64Add
						I32WrapI64
						I64Load8U $0
						I64Const $127
						I64GtU
						If
							I64Const $0
							Set R8
							Br $2
						End
					End
					Get R8
					Set R8
					Br $0
				End
				Get R6
				I32WrapI64
				Get R7
				I64Store $0
				Get R6
				I32WrapI64
				Get R8
				I64Store $8
				Get R7
				I64Eqz
				Get R8
				I64Eqz
				I32Or
				If
					I64Const $0
					Set R5
					Br $1
				End
				I64Const $1
				Set R5
				Br $0
			End
			Get R0
			I32WrapI64
			I64Load $136
			Set R6
			Get R0
			I32WrapI64
			I64Load $144
			Set R7
			Get R0
			I32WrapI64
			I64Load $16
			Set R8
			Block
				I64Const $0
				Set R9
				Block
					Loop
						Get R6
						Get R7
						I64LtS
						I32Eqz
						BrIf $1
						Get R1
						Get R6
						I64Add
						I32WrapI64
						I64Load8U $0
						I64Const $48
						I64Sub
						Tee R10
						I64Const $9
						I64GtU
						Get R9
						Get R8
						I64GtS
						I32Or
						If
							I64Const $-1
							Set R4
							Br $3
						End
						Get R9
						I64Const $10
						I64Mul
						Get R10
						I64Add
						Set R9
						Get R6
						I64Const $1
						I64Add
						Set R6
						Br $0
					End
				End
				Get R9
				Set R4
				Br $0
			End
		End
		Get R0
		I32WrapI64
		I64Const $-1
		I64Store $80
		Get R0
		I32WrapI64
		I64Load $120
		I64Const $0
		I64Ne
		Get R5
		I64Const $0
		I64Ne
		I32And
		If
			Get R0
			I32WrapI64
			I64ExtendI32U
			I64Const $120
			I64Add
			Set R6
			Block
				Get R6
				I32WrapI64
				I64Load $0
				Set R7
				Get R6
				I32WrapI64
				I64Load $8
				Set R8
				Block
					Block
						Loop
							Get R7
							Get R8
							I64LtS
							I32Eqz
							BrIf $1
							Get R1
							Get R7
							I64Add
							I32WrapI64
							I64Load8U $0
							I64Const $32
							I64Ne
							If
								Br $2
							End
							Get R7
							I64Const $1
							I64Add
							Set R7
							Br $0
						End
					End
					Get R7
					Get R8
					I64LtS
					If
						Get R1
						Get R7
						I64Add
						I32WrapI64
						I64Load8U $0
						I64Const $127
						I64GtU
						If
							I64Const $0
							Set R7
							Br $2
						End
					End
					Get R7
					Set R7
					Br $0
				End
				Block
					Block
						Loop
							Get R7
							Get R8
							I64LtS
							I32Eqz
							BrIf $1
							Get R1
							Get R8
							I64Const $1
							I64Sub
							I64Add
							I32WrapI64
							I64Load8U $0
							I64Const $32
							I64Ne
							If
								Br $2
							End
							Get R8
							I64Const $1
							I64Sub
							Set R8
							Br $0
						End
					End
					Get R7
					Get R8
					I64LtS
					If
						Get R1
						Get R8
						I64Const $1
						I64Sub
						I64Add
						I32WrapI64
						I64Load8U $0
						I64Const $127
						I64GtU
						If
							I64Const $0
							Set R8
							Br $2
						End
					End
					Get R8
					Set R8
					Br $0
				End
				Get R6
				I32WrapI64
				Get R7
				I64Store $0
				Get R6
				I32WrapI64
				Get R8
				I64Store $8
				Get R7
				I64Eqz
				Get R8
				I64Eqz
				I32Or
				If
					I64Const $0
					Set R5
					Br $1
				End
				I64Const $1
				Set R5
				Br $0
			End
			Get R0
			I32WrapI64
			I64Load $120
			Get R0
			I32WrapI64
			I64Load $128
			I64LtS
			If
				Get R1
				Get R0
				I32WrapI64
				I64Load $120
				I64Add
				I32WrapI64
				I64Load8U $0
				I64Const $48
				I64Ne
				If
					Get R0
					I32WrapI64
					Get R0
					I32WrapI64
					I64Load $120
					Set R7
					Get R0
					I32WrapI64
					I64Load $128
					Set R8
					Get R0
					I32WrapI64
					I64Load $16
					Set R9
					Block
						I64Const $0
						Set R10
						Block
							Loop
								Get R7
								Get R8
								I64LtS
								I32Eqz
								BrIf $1
								Get R1
								Get R7
								I64Add
								I32WrapI64
								I64Load8U $0
								I64Const $48
								I64Sub
								Tee R11
								I64Const $9
								I64GtU
								Get R10
								Get R9
								I64GtS
								I32Or
								If
									I64Const $-1
									Set R6
									Br $3
								End
								Get R10
								I64Const $10
								I64Mul
								Get R11
								I64Add
								Set R10
								Get R7
								I64Const $1
								I64Add
								Set R7
								Br $0
							End
						End
						Get R10
						Set R6
						Br $0
					End
					Get R6
					I64Store $80
				End
			End
		End
		Get R0
		I32WrapI64
		I64Load $152
		I64Const $0
		I64Ne
		Get R5
		I64Const $0
		I64Ne
		I32And
		If
			Get R0
			I32WrapI64
			I64ExtendI32U
			I64Const $152
			I64Add
			Set R6
			Block
				Get R6
				I32WrapI64
				I64Load $0
				Set R7
				Get R6
				I32WrapI64
				I64Load $8
				Set R8
				Block
					Block
						Loop
							Get R7
							Get R8
							I64LtS
							I32Eqz
							BrIf $1
							Get R1
							Get R7
							I64Add
							I32WrapI64
							I64Load8U $0
							I64Const $32
							I64Ne
							If
								Br $2
							End
							Get R7
							I64Const $1
							I64Add
							Set R7
							Br $0
						End
					End
					Get R7
					Get R8
					I64LtS
					If
						Get R1
						Get R7
						I64Add
						I32WrapI64
						I64Load8U $0
						I64Const $127
						I64GtU
						If
							I64Const $0
							Set R7
							Br $2
						End
					End
					Get R7
					Set R7
					Br $0
				End
				Block
					Block
						Loop
							Get R7
							Get R8
							I64LtS
							I32Eqz
							BrIf $1
							Get R1
							Get R8
							I64Const $1
							I64Sub
							I64Add
							I32WrapI64
							I64Load8U $0
							I64Const $32
							I64Ne
							If
								Br $2
							End
							Get R8
							I64Const $1
							I64Sub
							Set R8
							Br $0
						End
					End
					Get R7
					Get R8
					I64LtS
					If
						Get R1
						Get R8
						I64Const $1
						I64Sub
						I64Add
						I32WrapI64
						I64Load8U $0
						I64Const $127
						I64GtU
						If
							I64Const $0
							Set R8
							Br $2
						End
					End
					Get R8
					Set R8
					Br $0
				End
				Get R6
				I32WrapI64
				Get R7
				I64Store $0
				Get R6
				I32WrapI64
				Get R8
				I64Store $8
				Get R7
				I64Eqz
				Get R8
				I64Eqz
				I32Or
				If
					I64Const $0
					Set R5
					Br $1
				End
				I64Const $1
				Set R5
				Br $0
			End
		End
		Get R0
		I32WrapI64
		I64Load $168
		I64Const $0
		I64Ne
		Get R5
		I64Const $0
		I64Ne
		I32And
		If
			Get R0
			I32WrapI64
			I64ExtendI32U
			I64Const $168
			I64Add
			Set R6
			Block
				Get R6
				I32WrapI64
				I64Load $0
				Set R7
				Get R6
				I32WrapI64
				I64Load $8
				Set R8
				Block
					Block
						Loop
							Get R7
							Get R8
							I64LtS
							I32Eqz
							BrIf $1
							Get R1
							Get R7
							I64Add
							I32WrapI64
							I64Load8U $0
							I64Const $32
							I64Ne
							If
								Br $2
							End
							Get R7
							I64Const $1
							I64Add
							Set R7
							Br $0
						End
					End
					Get R7
					Get R8
					I64LtS
					If
						Get R1
						Get R7
						I64Add
						I32WrapI64
						I64Load8U $0
						I64Const $127
						I64GtU
						If
							I64Const $0
							Set R7
							Br $2
						End
					End
					Get R7
					Set R7
					Br $0
				End
				Block
					Block
						Loop
							Get R7
							Get R8
							I64LtS
							I32Eqz
							BrIf $1
							Get R1
							Get R8
							I64Const $1
							I64Sub
							I64Add
							I32WrapI64
							I64Load8U $0
							I64Const $32
							I64Ne
							If
								Br $2
							End
							Get R8
							I64Const $1
							I64Sub
							Set R8
							Br $0
						End
					End
					Get R7
					Get R8
					I64LtS
					If
						Get R1
						Get R8
						I64Const $1
						I64Sub
						I64Add
						I32WrapI64
						I64Load8U $0
						I64Const $127
						I64GtU
						If
							I64Const $0
							Set R8
							Br $2
						End
					End
					Get R8
					Set R8
					Br $0
				End
				Get R6
				I32WrapI64
				Get R7
				I64Store $0
				Get R6
				I32WrapI64
				Get R8
				I64Store $8
				Get R7
				I64Eqz
				Get R8
				I64Eqz
				I32Or
				If
					I64Const $0
					Set R5
					Br $1
				End
				I64Const $1
				Set R5
				Br $0
			End
		End
		Get R5
		I64Eqz
		If
			I64Const $-1
			Set R3
			Br $1
		End
		Get R4
		Set R3
		Br $0
	End
	Get R3
	I64Const $0
	I64LtS
	If
		Get SP
		I64Const $0
		I64Store ret+8(FP)
		RET
	End
	Get R0
	I32WrapI64
	I64Load $8
	Set R4
	Get R3
	Get R0
	I32WrapI64
	I64Load $16
	Get R4
	I64Sub
	I64GtS
	If
		Get SP
		I64Const $0
		I64Store ret+8(FP)
		RET
	End
	Get R0
	I32WrapI64
	Get R4
	I64Store $88
	Get R4
	Get R3
	I64Add
	Set R4
	Get R0
	I32WrapI64
	Get R4
	I64Store $96
	Get R0
	I32WrapI64
	I64Load $16
	Set R6
	Block
		Get R4
		I64Const $2
		I64Add
		Get R6
		I64GtS
		If
			I64Const $0
			Set R5
			Br $1
		End
		Get R1
		Get R4
		I64Add
		I32WrapI64
		I64Load8U $0
		I64Const $13
		I64Ne
		Get R1
		Get R4
		I64Add
		I32WrapI64
		I64Load8U $1
		I64Const $10
		I64Ne
		I32Or
		If
			I64Const $0
			Set R5
			Br $1
		End
		Get R4
		I64Const $2
		I64Add
		Set R5
		Br $0
	End
	Get R5
	I64Eqz
	Get R3
	I64Const $0
	I64GtS
	I32And
	If
		Get SP
		I64Const $0
		I64Store ret+8(FP)
		RET
	End
	Block
		Loop
			Get R5
			I64Const $0
			I64Ne
			I32Eqz
			BrIf $1
			Get R5
			Set R4
			Get R0
			I32WrapI64
			I64Load $16
			Set R6
			Block
				Get R4
				I64Const $2
				I64Add
				Get R6
				I64GtS
				If
					I64Const $0
					Set R5
					Br $1
				End
				Get R1
				Get R4
				I64Add
				I32WrapI64
				I64Load8U $0
				I64Const $13
				I64Ne
				Get R1
				Get R4
				I64Add
				I32WrapI64
				I64Load8U $1
				I64Const $10
				I64Ne
				I32Or
				If
					I64Const $0
					Set R5
					Br $1
				End
				Get R4
				I64Const $2
				I64Add
				Set R5
				Br $0
			End
			Br $0
		End
	End
	Block
		Get R0
		I32WrapI64
		I64Load $0
		Set R6
		Get R0
		I32WrapI64
		I64Load $48
		Set R7
		Get R4
		I64Const $2
		I64Add
		Get R7
		I64Add
		Get R0
		I32WrapI64
		I64Load $16
		I64GtS
		If
			I64Const $0
			Set R4
			Br $1
		End
		Get R6
		Get R4
		I64Add
		I32WrapI64
		I64Load8U $0
		I64Const $45
		I64Ne
		Get R6
		Get R4
		I64Add
		I32WrapI64
		I64Load8U $1
		I64Const $45
		I64Ne
		I32Or
		If
			I64Const $0
			Set R4
			Br $1
		End
		Get R4
		I64Const $2
		I64Add
		Set R9
		Get R0
		I32WrapI64
		I64Load $40
		Set R10
		Block
			I64Const $0
			Set R11
			Block
				Loop
					Get R11
					I64Const $8
					I64Add
					Get R7
					I64LeS
					I32Eqz
					BrIf $1
					Get R6
					Get R9
					Get R11
					I64Add
					I64Add
					I32WrapI64
					I64Load $0
					Get R6
					Get R10
					Get R11
					I64Add
					I64Add
					I32WrapI64
					I64Load $0
					I64Ne
					If
						I64Const $0
						Set R8
						Br $3
					End
					Get R11
					I64Const $8
					I64Add
					Set R11
					Br $0
				End
			End
			Block
				Loop
					Get R11
					Get R7
					I64LtS
					I32Eqz
					BrIf $1
					Get R6
					Get R9
					Get R11
					I64Add
					I64Add
					I32WrapI64
					I64Load8U $0
					Get R6
					Get R10
					Get R11
					I64Add
					I64Add
					I32WrapI64
					I64Load8U $0
					I64Ne
					If
						I64Const $0
						Set R8
						Br $3
					End
					Get R11
					I64Const $1
					I64Add
					Set R11
					Br $0
				End
			End
			I64Const $1
			Set R8
			Br $0
		End
		Get R8
		I64Eqz
		If
			I64Const $0
			Set R4
			Br $1
		End
		Get R4
		I64Const $2
		I64Add
		Get R7
		I64Add
		Set R4
		Br $0
	End
	Get R4
	I64Eqz
	If
		Get SP
		I64Const $0
		I64Store ret+8(FP)
		RET
	End
	Get R0
	I32WrapI64
	I64Load $16
	Set R6
	Block
		Get R4
		I64Const $2
		I64Add
		Get R6
		I64GtS
		If
			I64Const $0
			Set R5
			Br $1
		End
		Get R1
		Get R4
		I64Add
		I32WrapI64
		I64Load8U $0
		I64Const $13
		I64Ne
		Get R1
		Get R4
		I64Add
		I32WrapI64
		I64Load8U $1
		I64Const $10
		I64Ne
		I32Or
		If
			I64Const $0
			Set R5
			Br $1
		End
		Get R4
		I64Const $2
		I64Add
		Set R5
		Br $0
	End
	Get R5
	I64Const $0
	I64Ne
	If
		Get R0
		I32WrapI64
		Get R5
		I64Store $8
		Get SP
		I64Const $1
		I64Store ret+8(FP)
		RET
	End
	Get R4
	Set R6
	Block
		Get R0
		I32WrapI64
		I64Load $0
		Set R7
		Get R6
		I64Const $2
		I64Add
		Get R0
		I32WrapI64
		I64Load $16
		I64GtS
		If
			I64Const $0
			Set R5
			Br $1
		End
		Get R7
		Get R6
		I64Add
		I32WrapI64
		I64Load8U $0
		I64Const $45
		I64Ne
		Get R7
		Get R6
		I64Add
		I32WrapI64
		I64Load8U $1
		I64Const $45
		I64Ne
		I32Or
		If
			I64Const $0
			Set R5
			Br $1
		End
		Get R6
		I64Const $2
		I64Add
		Set R8
		Get R0
		I32WrapI64
		I64Load $16
		Set R9
		Block
			Get R8
			I64Const $2
			I64Add
			Get R9
			I64GtS
			If
				I64Const $0
				Set R6
				Br $1
			End
			Get R7
			Get R8
			I64Add
			I32WrapI64
			I64Load8U $0
			I64Const $13
			I64Ne
			Get R7
			Get R8
			I64Add
			I32WrapI64
			I64Load8U $1
			I64Const $10
			I64Ne
			I32Or
			If
				I64Const $0
				Set R6
				Br $1
			End
			Get R8
			I64Const $2
			I64Add
			Set R6
			Br $0
		End
		Get R6
		I64Eqz
		If
			I64Const $0
			Set R5
			Br $1
		End
		Get R6
		Set R8
		Block
			Loop
				Get R8
				I64Const $0
				I64Ne
				I32Eqz
				BrIf $1
				Get R8
				Set R6
				Get R0
				I32WrapI64
				I64Load $16
				Set R9
				Block
					Get R6
					I64Const $2
					I64Add
					Get R9
					I64GtS
					If
						I64Const $0
						Set R8
						Br $1
					End
					Get R7
					Get R6
					I64Add
					I32WrapI64
					I64Load8U $0
					I64Const $13
					I64Ne
					Get R7
					Get R6
					I64Add
					I32WrapI64
					I64Load8U $1
					I64Const $10
					I64Ne
					I32Or
					If
						I64Const $0
						Set R8
						Br $1
					End
					Get R6
					I64Const $2
					I64Add
					Set R8
					Br $0
				End
				Br $0
			End
		End
		Get R0
		I32WrapI64
		I64Const $0
		I64Store $56
		Get R6
		Get R0
		I32WrapI64
		I64Load $32
		I64Add
		Get R0
		I32WrapI64
		I64Load $16
		I64GtS
		If
			I64Const $0
			Set R5
			Br $1
		End
		Get R0
		I32WrapI64
		I64Load $24
		Set R10
		Get R0
		I32WrapI64
		I64Load $32
		Set R11
		Block
			I64Const $0
			Set R12
			Block
				Loop
					Get R12
					I64Const $8
					I64Add
					Get R11
					I64LeS
					I32Eqz
					BrIf $1
					Get R7
					Get R6
					Get R12
					I64Add
					I64Add
					I32WrapI64
					I64Load $0
					Get R10
					I64Const $0
					Get R12
					I64Add
					I64Add
					I32WrapI64
					I64Load $0
					I64Ne
					If
						I64Const $0
						Set R9
						Br $3
					End
					Get R12
					I64Const $8
					I64Add
					Set R12
					Br $0
				End
			End
			Block
				Loop
					Get R12
					Get R11
					I64LtS
					I32Eqz
					BrIf $1
					Get R7
					Get R6
					Get R12
					I64Add
					I64Add
					I32WrapI64
					I64Load8U $0
					Get R10
					I64Const $0
					Get R12
					I64Add
					I64Add
					I32WrapI64
					I64Load8U $0
					I64Ne
					If
						I64Const $0
						Set R9
						Br $3
					End
					Get R12
					I64Const $1
					I64Add
					Set R12
					Br $0
				End
			End
			I64Const $1
			Set R9
			Br $0
		End
		Get R9
		I64Eqz
		If
			I64Const $0
			Set R5
			Br $1
		End
		Get R6
		Get R0
		I32WrapI64
		I64Load $32
		I64Add
		Set R6
		Get R0
		I32WrapI64
		I64Load $16
		Set R10
		Block
			Get R6
			I64Const $2
			I64Add
			Get R10
			I64GtS
			If
				I64Const $0
				Set R9
				Br $1
			End
			Get R7
			Get R6
			I64Add
			I32WrapI64
			I64Load8U $0
			I64Const $13
			I64Ne
			Get R7
			Get R6
			I64Add
			I32WrapI64
			I64Load8U $1
			I64Const $10
			I64Ne
			I32Or
			If
				I64Const $0
				Set R9
				Br $1
			End
			Get R6
			I64Const $2
			I64Add
			Set R9
			Br $0
		End
		Get R9
		I64Const $0
		I64Ne
		If
			Get R0
			I32WrapI64
			Get R9
			I64Store $8
			I64Const $1
			Set R5
			Br $1
		End
		Get R6
		I64Const $2
		I64Add
		Get R0
		I32WrapI64
		I64Load $16
		I64GtS
		If
			I64Const $0
			Set R5
			Br $1
		End
		Get R7
		Get R6
		I64Add
		I32WrapI64
		I64Load8U $0
		I64Const $45
		I64Ne
		Get R7
		Get R6
		I64Add
		I32WrapI64
		I64Load8U $1
		I64Const $45
		I64Ne
		I32Or
		If
			I64Const $0
			Set R5
			Br $1
		End
		Get R6
		I64Const $2
		I64Add
		Tee R6
		Get R0
		I32WrapI64
		I64Load $16
		I64Ne
		If
			Get R0
			I32WrapI64
			I64Load $16
			Set R10
			Block
				Get R6
				I64Const $2
				I64Add
				Get R10
				I64GtS
				If
					I64Const $0
					Set R6
					Br $1
				End
				Get R7
				Get R6
				I64Add
				I32WrapI64
				I64Load8U $0
				I64Const $13
				I64Ne
				Get R7
				Get R6
				I64Add
				I32WrapI64
				I64Load8U $1
				I64Const $10
				I64Ne
				I32Or
				If
					I64Const $0
					Set R6
					Br $1
				End
				Get R6
				I64Const $2
				I64Add
				Set R6
				Br $0
			End
			Get R6
			I64Eqz
			If
				I64Const $0
				Set R5
				Br $2
			End
		End
		Get R0
		I32WrapI64
		Get R6
		I64Store $8
		Get R0
		I32WrapI64
		I64Const $1
		I64Store $64
		I64Const $1
		Set R5
		Br $0
	End
	Get SP
	Get R5
	I64Store ret+8(FP)
	RET
	Unreachable
	RET
