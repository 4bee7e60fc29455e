package keystore

import (
	"errors"
	"fmt"
)

// A secret key in a JCEKS file is a serialized javax.crypto.SealedObject without a length: to skip it, its fields,
// strings and byte arrays, are scanned ("Java Object Serialization Specification", chapter 6). No object is created.

const (
	tcNull         = 0x70
	tcReference    = 0x71
	tcClassDesc    = 0x72
	tcObject       = 0x73
	tcString       = 0x74
	tcArray        = 0x75
	tcEndBlockData = 0x78

	firstHandle  = 0x7e0000
	serializable = 0x02 // class flag: objects consist of their fields only

	maxJavaDepth   = 100
	maxJavaObjects = 10_000
)

// javaClass is the part of a class that determines the length of its objects.
type javaClass struct {
	name   string
	fields int // including superclasses
}

// javaObject scans one stream. handles are the targets of references: a class, or nil for others.
type javaObject struct {
	*javaReader
	handles []*javaClass
	depth   int // of the objects around the current one
	objects int // the number of objects and classes so far
}

func (o *javaObject) fail(text string) {
	if o.err == nil {
		o.err = errors.New("a secret key: " + text)
	}
}

// enter counts a nested object or class. It returns false after an error; else the caller decreases depth at the end.
func (o *javaObject) enter() bool {
	o.depth++
	o.objects++
	if o.depth > maxJavaDepth || o.objects > maxJavaObjects {
		o.fail("it contains too many objects")
	}
	return o.err == nil
}

// skipValue skips null, a reference, an object, a string or an array.
func (o *javaObject) skipValue() {
	if !o.enter() {
		return
	}
	defer func() { o.depth-- }()
	switch tag := o.u8("tag of a Java object"); tag {
	case tcNull: // has no content
	case tcReference:
		o.next(4, "reference")
	case tcObject:
		class := o.readClass()
		o.handles = append(o.handles, nil)
		for i := 0; i < class.fields && o.err == nil; i++ {
			o.skipValue()
		}
	case tcString:
		o.handles = append(o.handles, nil)
		o.utf("string")
	case tcArray:
		if class := o.readClass(); class.name != "[B" {
			o.fail(fmt.Sprintf("an array of type %q, expected bytes", class.name))
		}
		o.handles = append(o.handles, nil)
		o.next(o.u32("array"), "array")
	default:
		o.fail(fmt.Sprintf("an unexpected tag %02x", tag))
	}
}

// readClass reads a class description, a reference to one, or null.
func (o *javaObject) readClass() javaClass {
	switch tag := o.u8("class of a Java object"); tag {
	case tcNull: // no class, such as the superclass of a root class
	case tcReference:
		i := o.u32("reference") - firstHandle
		if i >= 0 && i < len(o.handles) && o.handles[i] != nil {
			return *o.handles[i]
		}
		o.fail("a reference to something that is not a class")
	case tcClassDesc:
		if !o.enter() {
			return javaClass{}
		}
		defer func() { o.depth-- }()
		c := &javaClass{name: o.utf("class name")}
		o.next(8, "class version")
		o.handles = append(o.handles, c)
		if flags := o.u8("class flags"); flags != serializable {
			o.fail(fmt.Sprintf("a class with the flags %02x, whose objects have an unknown length", flags))
		}
		for n := o.u16("fields"); n > 0 && o.err == nil; n-- {
			if t := o.u8("field"); t != '[' && t != 'L' { // an array or an object
				o.fail(fmt.Sprintf("a field of type %q", rune(t)))
			}
			o.utf("field name")
			o.skipValue() // the name of its type
			c.fields++
		}
		if end := o.u8("end of a class"); end != tcEndBlockData {
			o.fail(fmt.Sprintf("found tag %02x, expected the end of a class", end))
		}
		c.fields += o.readClass().fields
		return *c
	default:
		o.fail(fmt.Sprintf("found tag %02x, expected a class", tag))
	}
	return javaClass{}
}
