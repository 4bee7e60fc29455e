package keystore

import (
	"errors"
	"fmt"
)

// A secret key stands in a JCEKS file as a serialised javax.crypto.SealedObject (com.sun.crypto.provider.JceKeyStore),
// with no length in front: its end is found by walking the object. The form is that of the "Java Object Serialization
// Specification", chapter 6, as far as such an object has it: its fields are texts and arrays of bytes. Nothing is made
// of it, so nothing of its class is trusted.

const (
	tcNull         = 0x70
	tcReference    = 0x71
	tcClassDesc    = 0x72
	tcObject       = 0x73
	tcString       = 0x74
	tcArray        = 0x75
	tcEndBlockData = 0x78

	firstHandle  = 0x7e0000
	serializable = 0x02 // of the flags of a class: its objects are their fields and nothing else

	maxJavaDepth   = 100
	maxJavaObjects = 10_000
)

// javaClass is what of a class description tells how long its objects are.
type javaClass struct {
	name   string
	fields int // with those of its ancestors
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

// fail notes a fault, unless there is one already.
func (o *javaObject) fail(text string) {
	if o.err == nil {
		o.err = errors.New("a secret key: " + text)
	}
}

// enter counts an object or class within others; false: there is a fault.
func (o *javaObject) enter() bool {
	o.depth++
	if o.objects++; o.depth > maxJavaDepth || o.objects > maxJavaObjects {
		o.fail("more objects in it than any key has")
	}
	return o.err == nil
}

// content walks one value of the stream.
func (o *javaObject) content() {
	if !o.enter() {
		return
	}
	defer func() { o.depth-- }()
	switch tag := o.u8("tag of a Java object"); tag {
	case tcNull:
	case tcReference:
		o.next(4, "reference")
	case tcObject:
		class := o.class()
		o.handles = append(o.handles, nil)
		for i := 0; i < class.fields && o.err == nil; i++ {
			o.content()
		}
	case tcString:
		o.handles = append(o.handles, nil)
		o.utf("string")
	case tcArray:
		if class := o.class(); class.name != "[B" {
			o.fail(fmt.Sprintf("an array of type %q, expected bytes", class.name))
		}
		o.handles = append(o.handles, nil)
		o.next(o.u32("array"), "array")
	default:
		o.fail(fmt.Sprintf("a tag %02x in it", tag))
	}
}

// class reads a description of a class, a reference to one, or null.
func (o *javaObject) class() javaClass {
	switch tag := o.u8("class of a Java object"); tag {
	case tcNull:
	case tcReference:
		i := o.u32("reference") - firstHandle
		if i >= 0 && i < len(o.handles) && o.handles[i] != nil {
			return *o.handles[i]
		}
		o.fail("a reference to no class")
	case tcClassDesc:
		return o.description()
	default:
		o.fail(fmt.Sprintf("a tag %02x in place of a class", tag))
	}
	return javaClass{}
}

// description reads a class with its ancestors.
func (o *javaObject) description() javaClass {
	if !o.enter() {
		return javaClass{}
	}
	defer func() { o.depth-- }()
	c := &javaClass{name: o.utf("class name")}
	o.next(8, "class version")
	o.handles = append(o.handles, c)
	if flags := o.u8("class flags"); flags != serializable {
		o.fail(fmt.Sprintf("a class with the flags %02x, whose objects have no end that can be found", flags))
	}
	for n := o.u16("fields"); n > 0 && o.err == nil; n-- {
		if t := o.u8("field"); t != '[' && t != 'L' {
			o.fail(fmt.Sprintf("a field of type %q", rune(t)))
		}
		o.utf("field name")
		o.content() // the name of its type
		c.fields++
	}
	if end := o.u8("end of a class"); end != tcEndBlockData {
		o.fail(fmt.Sprintf("a tag %02x in place of the end of a class", end))
	}
	c.fields += o.class().fields
	return *c
}
