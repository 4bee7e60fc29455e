package binary

import (
	"bytes"
	"crypto/sha256"

	"github.com/culvert-project/culvert/host/internal/base/wasm"
)

// stubBody is the body of each function of a stub, after its length: no locals, `unreachable`, `end`.
var stubBody = []byte{3, 0, 0x00, 0x0b}

// stubMark is the name of the section with the hash.
const stubMark = "culvert:stub-of"

// Stub is a module without the bodies of its functions: each traps at once. Everything else is as it was, so that
// native code of the module fits it: the engine needs bodies for compiling and validating alone, which at a start take
// three times as long as reading the code that was made of them, and keeps them for as long as it has the module. A
// section of its own has the module's hash, so that modules which differ in bodies alone have stubs that differ: the
// engine knows a module by its bytes.
func Stub(module []byte) (stub []byte, err error) {
	err = wasm.Try(func() {
		rest := 0
		for s := range wasm.Sections(module) {
			if s.ID == wasm.Code {
				r := s.Content(module)
				functions := r.Count()
				bodies := append(wasm.AppendU32(nil, uint32(functions)), bytes.Repeat(stubBody, functions)...)
				stub, rest = wasm.AppendSection(bytes.Clone(module[:s.At]), wasm.Code, bodies), s.To
			}
		}
		stub = append(stub, module[rest:]...)
	})
	sum := sha256.Sum256(module)
	return wasm.AppendSection(stub, wasm.Custom, append(wasm.AppendSized(nil, []byte(stubMark)), sum[:]...)), err
}
