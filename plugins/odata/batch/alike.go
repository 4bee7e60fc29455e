package batch

import (
	"bytes"
	"slices"
	"strconv"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/wit"
)

// Alike is a batch of operations that differ in nothing but the key of their entity and their body.
type Alike struct {
	Method string
	// Target is that of an operation without its key.
	Target  string
	Headers []wit.Header
	// Apart: each has a changeset of its own, else all are in one.
	Apart bool
	Items []Item
}

// Item is an operation: the key as it stands after the target, "" for none, lines of headers that it alone has, with
// their line ends, and the body, which is not empty. All have [encode.Room] bytes of memory after them, whatever is in
// it.
type Item struct{ Key, Headers, Body []byte }

// counter is a number that is written in digits, with room after it.
type counter struct {
	digits [20 + encode.Room]byte
	first  int
}

// next counts one up.
func (c *counter) next() {
	for i := 19; i >= c.first; i-- {
		if c.digits[i]++; c.digits[i] <= '9' {
			return
		}
		c.digits[i] = '0'
	}
	c.first--
	c.digits[c.first] = '1'
}

func (c *counter) set(piece *encode.Piece) {
	piece.From, piece.Size = unsafe.Pointer(&c.digits[c.first]), 20-c.first
}

// form is what an operation of a batch looks like: pieces of text, of which those that are the same in each are there
// already. The others are set for each operation, at the places that are named here; -1: there is none.
type form struct {
	pieces [17]encode.Piece
	count  int
	// same is the text of the pieces that are the same, with room after it.
	same []byte
	// numbers are the places of the operation's number, the others those of what [Item] holds and of the body's size.
	numbers                     [4]int
	key, headers, size, content int
}

// text adds a piece that is the same in each operation.
func (f *form) text(text string) {
	from := len(f.same)
	f.same = append(f.same, text...)
	f.pieces[f.place()] = encode.Piece{From: unsafe.Pointer(unsafe.SliceData(f.same[from:])), Size: len(text)}
}

// place adds a piece that is set for each operation, and says where.
func (f *form) place() int {
	f.count++
	return f.count - 1
}

// form makes the form of the operations. suffix is what is different about the batch's boundaries, opening begins a
// changeset and goes on with the changeset's number.
func (a *Alike) form(suffix, opening string) form {
	inner := "\r\n--changeset_" + suffix + "_"
	const kind = "\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: "
	request := "\r\n\r\n" + a.Method + " " + a.Target
	line := " HTTP/1.1\r\n"
	for i := range a.Headers {
		line += a.Headers[i].Name + ": " + a.Headers[i].Value + "\r\n"
	}
	const lengthOf, behindLength, last = "Content-Length: ", "\r\n\r\n", "--\r\n\r\n"
	own := slices.ContainsFunc(a.Items, func(i Item) bool { return len(i.Headers) > 0 })
	if !own {
		line += lengthOf
	}
	f := form{numbers: [4]int{-1, -1, -1, -1}, headers: -1,
		same: make([]byte, 0, len(opening)+len(inner)*2+len(kind)+len(request)+len(line)+60+encode.Room)}
	if a.Apart {
		f.text(opening)
		f.numbers[0] = f.place()
		f.text("\r\n" + inner)
		f.numbers[1] = f.place()
	} else {
		f.text("--changeset_" + suffix + "_1")
	}
	f.text(kind)
	f.numbers[2] = f.place()
	f.text(request)
	f.key = f.place()
	f.text(line)
	if own {
		f.headers = f.place()
		f.text(lengthOf)
	}
	f.size = f.place()
	f.text(behindLength)
	f.content = f.place()
	if a.Apart {
		f.text(inner)
		f.numbers[3] = f.place()
		f.text(last)
	} else {
		f.text("\r\n")
	}
	return f
}

// most is how many bytes the batch has at most, with a suffix of some length at the end of its boundaries and room
// after it.
func (a *Alike) most(f *form, suffix int) int {
	each := len(f.same) + 5*20
	all := 200 + 4*suffix + encode.Room
	for i := range a.Items {
		all += each + len(a.Items[i].Key) + len(a.Items[i].Headers) + len(a.Items[i].Body)
	}
	return all
}

// AppendAlike is [Append] of such a batch, with dst in memory that is reused where it is large enough.
func AppendAlike(dst []byte, a *Alike) (body []byte, boundary string) {
	suffix := a.unused()
	boundary = "batch_" + suffix
	opening := "--" + boundary + "\r\nContent-Type: multipart/mixed; boundary=changeset_" + suffix + "_"
	f := a.form(suffix, opening)
	w := slices.Grow(dst, a.most(&f, len(suffix)))
	if !a.Apart {
		w = append(append(append(w, opening...), '1'), "\r\n\r\n"...)
	}
	w = a.operations(w, f)
	if !a.Apart {
		w = append(append(append(w, "--changeset_"...), suffix...), "_1--\r\n\r\n"...)
	}
	return append(append(append(w, "--"...), boundary...), "--\r\n"...), boundary
}

// operations writes all operations after w, which has memory for them. It has a form of its own, not a pointer to one:
// what is stored in one's own frame takes no write barriers.
func (a *Alike) operations(w []byte, f form) []byte {
	var number counter
	var length [20 + encode.Room]byte
	number.digits[19], number.first = '0', 19
	out, at := unsafe.Pointer(unsafe.SliceData(w[:cap(w)])), len(w)
	for i := range a.Items {
		item := &a.Items[i]
		number.next()
		for _, n := range f.numbers {
			if n >= 0 {
				number.set(&f.pieces[n])
			}
		}
		f.pieces[f.key] = encode.Piece{From: unsafe.Pointer(unsafe.SliceData(item.Key)), Size: len(item.Key)}
		if f.headers >= 0 {
			f.pieces[f.headers] = encode.Piece{From: unsafe.Pointer(unsafe.SliceData(item.Headers)),
				Size: len(item.Headers)}
		}
		f.pieces[f.content] = encode.Piece{From: unsafe.Pointer(unsafe.SliceData(item.Body)), Size: len(item.Body)}
		if i == 0 || len(item.Body) != len(a.Items[i-1].Body) {
			text := strconv.AppendInt(length[:0], int64(len(item.Body)), 10)
			f.pieces[f.size] = encode.Piece{From: unsafe.Pointer(&length[0]), Size: len(text)}
		}
		at = encode.Gather(out, at, &f.pieces[0], f.count)
	}
	return w[:at]
}

// unused is [unused] for such a batch.
func (a *Alike) unused() string {
	h := uint64(seed)
	for round := byte(0); ; round++ {
		h = mixed(h, []byte{round})
		for i := range a.Items {
			b := a.Items[i].Body
			h = encode.Hash(unsafe.Pointer(unsafe.SliceData(b)), len(b), h)
		}
		suffix := strconv.FormatUint(h, 36)
		if !a.within("_" + suffix) {
			return suffix
		}
	}
}

// within tells whether a text, which begins with an underscore, stands in a body, or may.
func (a *Alike) within(text string) bool {
	var word uint64
	if len(text) < 8 {
		return slices.ContainsFunc(a.Items, func(i Item) bool { return bytes.Contains(i.Body, []byte(text)) })
	}
	for i := range 8 {
		word |= uint64(text[i]) << (8 * i)
	}
	for i := range a.Items {
		b := a.Items[i].Body
		if encode.Find(unsafe.Pointer(unsafe.SliceData(b)), len(b), word) != 0 && bytes.Contains(b, []byte(text)) {
			return true
		}
	}
	return false
}
