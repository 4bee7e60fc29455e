package keystore

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// token locates a PKCS#11 token.
type token struct {
	module string
	//lint:ignore U1000 read where the build has the tag pkcs11
	label string // empty means by slot, or the only one
	slot  *int
	index *int // in the list of slots
}

// parseSunPKCS11 reads library, slot and slotListIndex of Java's SunPKCS11 provider, and ignores other lines.
func parseSunPKCS11(content []byte) (token, error) {
	var t token
	lines := bufio.NewScanner(bytes.NewReader(content))
	for n := 1; lines.Scan(); n++ {
		name, value, ok := strings.Cut(lines.Text(), "=")
		name = strings.TrimSpace(name)
		value = strings.Trim(strings.TrimSpace(value), `"`)
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		switch name {
		case "library":
			module, err := expand(value)
			if err != nil {
				return t, fmt.Errorf("line %d: library: %w", n, err)
			}
			t.module = module
		case "slot", "slotListIndex":
			number, err := strconv.ParseUint(value, 0, 31)
			if err != nil {
				return t, fmt.Errorf("line %d: %s = %q, expected a number", n, name, value)
			}
			i := int(number)
			if name == "slot" {
				t.slot = &i
			} else {
				t.index = &i
			}
		}
	}
	return t, lines.Err()
}
