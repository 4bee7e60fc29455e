package plugin

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// stubBody is the body of each function of a stub, behind its length: no locals, `unreachable`, `end`.
var stubBody = []byte{3, 0, 0x00, 0x0b}

// stubOf is a module without the bodies of its functions: each traps at once. Everything else is as it was, so that
// native code of the module fits it: the engine needs bodies for compiling and validating alone, which at a start take
// three times as long as reading the code that was made of them, and keeps them for as long as it has the module. A
// section of its own has the module's hash, so that modules which differ in bodies alone have stubs that differ: the
// engine knows a module by its bytes.
func stubOf(module []byte) ([]byte, error) {
	const magicBytes, code = 8, 10
	r := reader{data: module, at: magicBytes}
	for r.at < len(module) {
		start := r.at
		id := r.byte()
		size := r.number()
		if r.err != nil || size > uint64(len(module)-r.at) {
			return nil, errors.New("the module is cut off")
		}
		end := r.at + int(size)
		if id != code {
			r.at = end
			continue
		}
		functions := r.number()
		if r.err != nil || functions > size { // a body has a byte for its length at least
			return nil, errors.New("the module's code is cut off")
		}
		bodies := binary.AppendUvarint(nil, functions)
		for range functions {
			bodies = append(bodies, stubBody...)
		}
		stub := append(make([]byte, 0, len(module)-int(size)+len(bodies)+binary.MaxVarintLen64), module[:start]...)
		stub = binary.AppendUvarint(append(stub, code), uint64(len(bodies)))
		return appendMark(append(append(stub, bodies...), module[end:]...), module), nil
	}
	return appendMark(bytes.Clone(module), module), nil // it has no functions of its own
}

// stubMark is the name of the section with the hash.
const stubMark = "culvert:stub-of"

func appendMark(stub, module []byte) []byte {
	const custom = 0
	sum := sha256.Sum256(module)
	content := append(binary.AppendUvarint(nil, uint64(len(stubMark))), stubMark...)
	content = append(content, sum[:]...)
	return append(binary.AppendUvarint(append(stub, custom), uint64(len(content))), content...)
}
