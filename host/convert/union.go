package convert

import (
	"strconv"

	"github.com/culvert-project/culvert/wit"
)

// Names by which Confluent's JsonSchemaData keeps what JSON Schema does not know of Kafka Connect's schemas
// (github.com/confluentinc/schema-registry, json-schema-converter).
const (
	jsonSchemaNamespace = "io.confluent.connect.json"
	jsonSchemaUnion     = jsonSchemaNamespace + ".OneOf"
	jsonSchemaEnum      = jsonSchemaNamespace + ".Enum"
	// sumUnion and sumEnum stand for them with generalized.sum.type.support.
	sumUnion = "org.apache.kafka.connect.data.Union"
	sumEnum  = "org.apache.kafka.connect.data.Enum"
)

// isUnion tells whether a structure stands for a union of JSON Schema.
func isUnion(n *wit.Node) bool {
	_, sum := parameter(n, sumUnion)
	return sum || nameOf(n) == jsonSchemaUnion
}

// maxLooked is how many bytes of a value may be walked over, together, to find out which members of unions they are.
const maxLooked = 64 << 20

// readUnion reads a value as the first member that takes values of its kind, or as the structure that knows most of its
// names.
func (r *reader) readUnion(p *parser, dst []byte, c byte) ([]byte, *Error) {
	at, err := r.branchOf(p, c)
	if err != nil {
		return dst, err
	}
	for m := range r.members {
		member := &r.members[m]
		if m != at {
			dst = append(dst, member.branch[0]^2) // null
			continue
		}
		if dst, err = member.value(p, append(dst, member.branch...), c); err != nil {
			return dst, err.in(r.names[m])
		}
	}
	return dst, nil
}

// branchOf is the number of the member that the value at the parser's position is of.
func (r *reader) branchOf(p *parser, c byte) (int, *Error) {
	whole := false
	from := p.i
	if isNumber(c) {
		_, w, err := p.number()
		if err != nil {
			return 0, err
		}
		whole, p.i = w, from
	}
	best, most, bytes := -1, 0, -1
	for m := range r.members {
		member := &r.members[m]
		fits := false
		switch member.shape {
		case int8Shape, int16Shape, int32Shape, int64Shape:
			fits = isNumber(c) && whole
		case float32Shape, float64Shape:
			fits = isNumber(c)
		case booleanShape:
			fits = c == 't' || c == 'f'
		case textShape:
			fits = c == '"'
		case bytesShape, decimalText, decimalNumber:
			// Kafka Connect takes a number with a point for bytes, and no text; where no other member takes the text it
			// can be nothing else.
			if fits = isNumber(c) && !whole; c == '"' && bytes < 0 {
				bytes = m
			}
		case arrayShape:
			fits = c == '['
		case objectShape, pairsShape, keyedShape:
			fits = c == '{' || c == '['
		case structureShape:
			if c != '{' {
				continue
			}
			known, err := member.known(p)
			if err != nil {
				return 0, err
			}
			if p.looked += p.i - from; p.looked > maxLooked {
				return 0, &Error{dataException, "more than " + strconv.Itoa(maxLooked) +
					" bytes to be looked through for the members of unions"}
			}
			if p.i = from; known > most {
				best, most = m, known
			}
		}
		if fits {
			return m, nil
		}
	}
	if best < 0 {
		best = bytes
	}
	if best < 0 {
		return 0, &Error{dataException, "Did not find matching oneof field for data"}
	}
	return best, nil
}

// known counts the names of an object that a structure has, and those in the objects below that it has there. It leaves
// the parser behind the value.
func (r *reader) known(p *parser) (int, *Error) {
	if p.peek() != '{' || r.shape != structureShape {
		return 0, p.skip()
	}
	if err := p.open('{'); err != nil {
		return 0, err
	}
	count, seen := 0, make([]bool, len(r.members))
	for first, guess := true, 0; ; first = false {
		on, err := p.more(first, '}')
		if err != nil || !on {
			return count, err
		}
		name, err := p.name()
		if err != nil {
			return count, err
		}
		m := r.member(name, guess)
		if m < 0 {
			if err := p.skip(); err != nil {
				return count, err
			}
			continue
		}
		below, err := r.members[m].known(p)
		if err != nil {
			return count, err
		}
		if guess = m + 1; !seen[m] {
			seen[m] = true
			count += 1 + below
		}
	}
}

// readKeyed reads an entry of a map that is an object of key and value, and tells where in dst the value begins.
func (r *reader) readKeyed(p *parser, dst []byte) (_ []byte, value int, err *Error) {
	if p.peek() != '{' {
		return dst, 0, &Error{dataException, "Found invalid map entry instead of object: " + p.kind()}
	}
	if err := p.open('{'); err != nil {
		return dst, 0, err
	}
	key, late := false, -1
	for first := true; ; first = false {
		on, err := p.more(first, '}')
		if err != nil {
			return dst, 0, err
		}
		if !on {
			break
		}
		name, err := p.name()
		switch {
		case err != nil:
		case string(name) == "key" && !key:
			key = true
			if dst, err = r.key.read(p, dst); err != nil || late < 0 {
				break
			}
			// the value stood in front of its key
			behind := p.i
			value, p.i = len(dst), late
			dst, err = r.element.read(p, dst)
			p.i = behind
		case string(name) == "value" && key && value == 0:
			value = len(dst)
			dst, err = r.element.read(p, dst)
		case string(name) == "value" && !key && late < 0:
			p.peek()
			late = p.i
			if err = p.skip(); err == nil {
				if p.looked += p.i - late; p.looked > maxLooked {
					err = &Error{dataException, "values of maps stand in front of their keys, more than " +
						strconv.Itoa(maxLooked) + " bytes of them"}
				}
			}
		default:
			err = &Error{dataException, "Found invalid map entry, expected key and value, found " + quoted(name)}
		}
		if err != nil {
			return dst, 0, err
		}
	}
	if !key || value == 0 {
		return dst, 0, &Error{dataException, "Found invalid map entry, expected key and value"}
	}
	return dst, value, nil
}
