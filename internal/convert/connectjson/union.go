package connectjson

import (
	"strconv"

	"github.com/culvert-project/culvert/internal/convert/fault"
)

// Names of Confluent's JsonSchemaData for constructs that Kafka Connect's schemas cannot express
// (github.com/confluentinc/schema-registry, json-schema-converter).
const (
	SchemaNamespace = "io.confluent.connect.json"
	UnionName       = SchemaNamespace + ".OneOf"
	// SumUnionName replaces UnionName with generalized.sum.type.support.
	SumUnionName = "org.apache.kafka.connect.data.Union"
)

// maxScanned bounds the bytes of a value that are scanned in advance to find its union members.
const maxScanned = 64 << 20

// matchingBranch returns the index of the member for the value at the parser's position, without consuming it: the
// first member of its type, or for an object the struct that has most of its names. Without one it sets p.Err.
func (r *Reader) matchingBranch(p *Parser, c byte) int {
	isInteger := false
	from := p.i
	if isNumber(c) {
		_, isInteger, _ = p.number()
		if p.Err == nil {
			p.i = from
		}
	}
	bestStruct := -1
	maxNames := 0
	bytesMember := -1
	for m := range r.members {
		member := &r.members[m]
		fits := false
		switch member.shape {
		case int8Shape, int16Shape, int32Shape, int64Shape:
			fits = isNumber(c) && isInteger
		case float32Shape, float64Shape:
			fits = isNumber(c)
		case booleanShape:
			fits = c == 't' || c == 'f'
		case textShape:
			fits = c == '"'
		case bytesShape, decimalText, DecimalNumber:
			// Kafka Connect reads a number with a point as bytes. A string is bytes only if no other member accepts it.
			fits = isNumber(c) && !isInteger
			if c == '"' && bytesMember < 0 {
				bytesMember = m
			}
		case arrayShape:
			fits = c == '['
		case ObjectShape, pairsShape, keyedShape:
			fits = c == '{' || c == '['
		case structureShape:
			if c != '{' {
				continue
			}
			names := member.countKnownNames(p)
			if p.scanned += p.i - from; p.scanned > maxScanned {
				p.fail(fault.DataException, "more than "+strconv.Itoa(maxScanned)+
					" bytes to be looked through for the members of unions")
			}
			if p.Err != nil {
				return 0
			}
			p.i = from
			if names > maxNames {
				bestStruct = m
				maxNames = names
			}
		}
		if fits {
			return m
		}
	}
	branch := max(bestStruct, bytesMember) // an object has no bytesMember, and a string no bestStruct
	if branch < 0 {
		p.fail(fault.DataException, "Did not find matching oneof field for data")
	}
	return branch
}

// countKnownNames counts the names of an object that a struct knows, including nested ones, and consumes the value.
func (r *Reader) countKnownNames(p *Parser) (count int) {
	if p.peek() != '{' || r.shape != structureShape {
		p.skip()
		return 0
	}
	p.open('{')
	isCounted := make([]bool, len(r.members))
	for first, guess := true, 0; p.more(first, '}'); first = false {
		m := r.memberIndex(p.name(), guess)
		if m < 0 {
			p.skip()
			continue
		}
		nested := r.members[m].countKnownNames(p)
		guess = m + 1
		if !isCounted[m] {
			isCounted[m] = true
			count += 1 + nested
		}
	}
	return count
}

// readKeyed reads a map entry that is an object with key and value, and returns where in dst the value begins.
func (r *Reader) readKeyed(p *Parser, dst []byte) (_ []byte, valueStart int) {
	if p.peek() != '{' {
		return p.reject(dst, "Found invalid map entry instead of object: "+p.kind()), 0
	}
	p.open('{')
	hasKey := false
	valuePos := -1 // in the input, of a value in front of its key
	for first := true; p.more(first, '}'); first = false {
		name := p.name()
		switch {
		case p.Err != nil: // the loop ends
		case string(name) == "key" && !hasKey:
			hasKey = true
			dst = r.key.Read(p, dst)
			if valuePos < 0 || p.Err != nil {
				break
			}
			// the value preceded its key
			after := p.i
			valueStart = len(dst)
			p.i = valuePos
			dst = r.element.Read(p, dst)
			p.i = after
		case string(name) == "value" && hasKey && valueStart == 0:
			valueStart = len(dst)
			dst = r.element.Read(p, dst)
		case string(name) == "value" && !hasKey && valuePos < 0:
			p.peek()
			valuePos = p.i
			p.skip()
			if p.scanned += p.i - valuePos; p.scanned > maxScanned {
				p.fail(fault.DataException, "values of maps stand in front of their keys, more than "+
					strconv.Itoa(maxScanned)+" bytes of them")
			}
		default:
			p.fail(fault.DataException, "Found invalid map entry, expected key and value, found "+fault.Quoted(name))
		}
	}
	if !hasKey || valueStart == 0 {
		p.fail(fault.DataException, "Found invalid map entry, expected key and value")
	}
	return dst, valueStart
}
