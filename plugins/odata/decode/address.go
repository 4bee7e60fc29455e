package decode

import "bytes"

// address notes the address of the row added last, which is all text from start on.
func (o *Output) address(start int) {
	o.Addresses = append(o.Addresses, Span{uint32(start), uint32(len(o.AddressText) - start)})
}

// addressJSON finds the address in the metadata of a row that was read: uri, or id where there is no uri.
func (o *Output) addressJSON(row []byte, depth int) {
	start := len(o.AddressText)
	if metadata := jsonMemberOf(row, 0, depth, "__metadata"); metadata > 0 && row[metadata] == '{' {
		value := jsonMemberOf(row, metadata, depth, "uri")
		if value == 0 {
			value = jsonMemberOf(row, metadata, depth, "id")
		}
		if value > 0 && row[value] == '"' {
			end, _ := jsonString(row, value)
			if text := row[value+1 : end-1]; bytes.IndexByte(text, '\\') < 0 {
				o.AddressText = append(o.AddressText, text...)
			} else if all, ok := unescape(o.AddressText, row[value:end]); ok {
				o.AddressText = all
			}
		}
	}
	o.address(start)
}

// jsonMemberOf is where the value of a member of the object at i begins, 0: it has none.
func jsonMemberOf(b []byte, i, depth int, name string) int {
	i, closed, err := jsonFirst(b, i+1, '}')
	for !closed && err == nil {
		end, value, wrong := jsonName(b, i)
		if wrong != nil {
			return 0
		}
		if string(b[i+1:end-1]) == name {
			return value
		}
		if i, err = jsonValue(b, value, depth); err == nil {
			i, closed, err = jsonNext(b, i, '}')
		}
	}
	return 0
}

// addressAtom finds the id of what was read, where that is an entry: the element of that name with the prefix that the
// entry has.
func (o *Output) addressAtom(entry []byte, is bool) {
	start := len(o.AddressText)
	if t, err := xmlTagAt(entry, 0); is && err == nil && !t.empty {
		prefix, _ := split(entry[t.name.start:t.name.end])
		children := elements{entry, t.end, len(entry)}
		for c, ok := children.next(); ok; c, ok = children.next() {
			own, local := split(entry[c.tag.name.start:c.tag.name.end])
			if string(local) != "id" || !bytes.Equal(own, prefix) {
				continue
			}
			if !c.tag.empty {
				text := entry[c.tag.end:contentEnd(entry, c.tag, c.end)]
				if all, ok := xmlContent(o.AddressText, text); ok {
					o.AddressText = all
				}
			}
			break
		}
	}
	o.address(start)
}
