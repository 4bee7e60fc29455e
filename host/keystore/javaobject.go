package keystore

import (
	"errors"
	"fmt"
)

// A secret key stands in a JCEKS file as a serialised Java object, with no length in front: its end is found by walking
// the object. The form is that of the "Java Object Serialization Specification", chapter 6. Nothing is made of it, so
// nothing of its class is trusted.

const (
	tcNull           = 0x70
	tcReference      = 0x71
	tcClassDesc      = 0x72
	tcObject         = 0x73
	tcString         = 0x74
	tcArray          = 0x75
	tcClass          = 0x76
	tcBlockData      = 0x77
	tcEndBlockData   = 0x78
	tcReset          = 0x79
	tcBlockDataLong  = 0x7a
	tcLongString     = 0x7c
	tcProxyClassDesc = 0x7d
	tcEnum           = 0x7e

	firstHandle = 0x7e0000

	maxJavaDepth   = 100
	maxJavaObjects = 10_000
)

// javaClass is what of a class description tells how long its objects are.
type javaClass struct {
	name   string
	flags  int
	fields []byte // a type code each
	super  *javaClass
}

// javaObject walks one stream. handles are what references refer to: a class, or nil for all else.
type javaObject struct {
	*javaReader
	handles []*javaClass
	depth   int
	objects int
}

// skipJavaObject takes a stream with one object from the front of r.
func skipJavaObject(r *javaReader) {
	if magic := r.u32("header of a secret key"); r.err == nil && magic != 0xaced0005 {
		r.err = fmt.Errorf("a secret key begins with %08x, expected aced0005 (a serialised Java object)", magic)
	}
	(&javaObject{javaReader: r}).content()
}

func (o *javaObject) fail(text string) { o.err = errors.New("a secret key: " + text) }

// content walks one value of the stream and returns its tag.
func (o *javaObject) content() int {
	o.depth++
	defer func() { o.depth-- }()
	if o.objects++; o.depth > maxJavaDepth || o.objects > maxJavaObjects {
		o.fail("more objects in it than any key has")
	}
	tag := o.u8("tag of a Java object")
	if o.err != nil {
		return 0
	}
	switch tag {
	case tcNull, tcEndBlockData, tcReset:
	case tcReference:
		o.take(4, "reference")
	case tcClassDesc, tcProxyClassDesc:
		o.classBody(tag)
	case tcObject:
		class := o.class()
		o.handles = append(o.handles, nil)
		o.data(class)
	case tcString:
		o.handles = append(o.handles, nil)
		o.utf("string")
	case tcLongString:
		o.handles = append(o.handles, nil)
		o.long("string")
	case tcArray:
		o.array()
	case tcClass:
		o.class()
		o.handles = append(o.handles, nil)
	case tcEnum:
		o.class()
		o.handles = append(o.handles, nil)
		o.content()
	case tcBlockData:
		o.take(o.u8("block"), "block")
	case tcBlockDataLong:
		o.take(o.u32("block"), "block")
	default:
		o.fail(fmt.Sprintf("a tag %02x in it", tag))
	}
	return tag
}

func (o *javaObject) long(what string) {
	if o.u32(what) != 0 {
		o.fail("a " + what + " of more than 4 GiB")
	}
	o.take(o.u32(what), what)
}

// class reads a description of a class, a reference to one, or null.
func (o *javaObject) class() *javaClass {
	switch tag := o.u8("class of a Java object"); {
	case o.err != nil || tag == tcNull:
	case tag == tcReference:
		i := o.u32("reference") - firstHandle
		if o.err == nil && (i < 0 || i >= len(o.handles) || o.handles[i] == nil) {
			o.fail("a reference to no class")
		}
		if o.err == nil {
			return o.handles[i]
		}
	case tag == tcClassDesc, tag == tcProxyClassDesc:
		return o.classBody(tag)
	default:
		o.fail(fmt.Sprintf("a tag %02x in place of a class", tag))
	}
	return nil
}

func (o *javaObject) classBody(tag int) *javaClass {
	if o.depth++; o.depth > maxJavaDepth {
		o.fail("a class with more ancestors than any key has")
		return nil
	}
	defer func() { o.depth-- }()
	c := &javaClass{}
	if tag == tcProxyClassDesc {
		o.handles = append(o.handles, c)
		for n := o.u32("interfaces"); n > 0 && o.err == nil; n-- {
			o.utf("interface")
		}
	} else {
		c.name = o.utf("class name")
		o.take(8, "class version")
		o.handles = append(o.handles, c)
		c.flags = o.u8("class flags")
		for n := o.u16("fields"); n > 0 && o.err == nil; n-- {
			c.fields = append(c.fields, byte(o.u8("field")))
			o.utf("field name")
			if t := c.fields[len(c.fields)-1]; t == '[' || t == 'L' {
				o.content() // the name of its type
			}
		}
	}
	o.annotation()
	c.super = o.class()
	return c
}

// annotation is what a class writes beside its fields.
func (o *javaObject) annotation() {
	for o.err == nil && o.content() != tcEndBlockData {
	}
}

// data walks the fields of an object, those of its topmost ancestor first.
func (o *javaObject) data(c *javaClass) {
	if c == nil || o.err != nil {
		return
	}
	const (
		writeMethod    = 0x01
		serializable   = 0x02
		externalizable = 0x04
		blockData      = 0x08
	)
	if o.depth++; o.depth > maxJavaDepth {
		o.fail("a class with more ancestors than any key has")
		return
	}
	o.data(c.super)
	o.depth--
	switch {
	case c.flags&serializable != 0:
		for _, t := range c.fields {
			o.value(t)
		}
		if c.flags&writeMethod != 0 {
			o.annotation()
		}
	case c.flags&externalizable != 0 && c.flags&blockData != 0:
		o.annotation()
	case c.flags&externalizable != 0:
		o.fail("an object whose end cannot be told")
	}
}

var javaSizes = map[byte]int{'B': 1, 'C': 2, 'D': 8, 'F': 4, 'I': 4, 'J': 8, 'S': 2, 'Z': 1}

func (o *javaObject) value(t byte) {
	switch size := javaSizes[t]; {
	case size != 0:
		o.take(size, "field")
	case t == 'L' || t == '[':
		o.content()
	default:
		o.fail(fmt.Sprintf("a field of type %q", t))
	}
}

// array walks one; its class's name tells the type of its elements.
func (o *javaObject) array() {
	class := o.class()
	if o.err == nil && (class == nil || len(class.name) < 2 || class.name[0] != '[') {
		o.fail("an array of no type")
	}
	if o.err != nil {
		return
	}
	element := class.name[1]
	o.handles = append(o.handles, nil)
	n := o.u32("array")
	if size := javaSizes[element]; size != 0 {
		if n > len(o.rest)/size {
			n = len(o.rest)/size + 1
		}
		o.take(n*size, "array")
		return
	}
	for ; n > 0 && o.err == nil; n-- {
		o.value(element)
	}
}
