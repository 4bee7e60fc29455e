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

// AppendAlike is [Append] of such a batch, with dst in memory that is reused where it is large enough.
func AppendAlike(dst []byte, a *Alike) (body []byte, boundary string) {
	suffix := a.unused()
	boundary = "batch_" + suffix
	inner := "\r\n--changeset_" + suffix + "_"
	opening := "--" + boundary + "\r\nContent-Type: multipart/mixed; boundary=changeset_" + suffix + "_"
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
	// What is the same in each operation, with room after it.
	same := make([]byte, 0, len(opening)+len(inner)*2+len(kind)+len(request)+len(line)+60+encode.Room)
	var pieces [17]encode.Piece
	count := 0
	add := func(text string) {
		from := len(same)
		same = append(same, text...)
		pieces[count] = encode.Piece{From: unsafe.Pointer(unsafe.SliceData(same[from:])), Size: len(text)}
		count++
	}
	var number counter
	var length [20 + encode.Room]byte
	number.digits[19], number.first = '0', 19
	numbers := [4]int{-1, -1, -1, -1} // pieces that are the operation's number
	if a.Apart {
		add(opening)
		numbers[0], count = count, count+1
		add("\r\n" + inner)
		numbers[1], count = count, count+1
	} else {
		add("--changeset_" + suffix + "_1")
	}
	add(kind)
	numbers[2], count = count, count+1
	add(request)
	key := count
	count++
	add(line)
	headers := -1
	if own {
		headers, count = count, count+1
		add(lengthOf)
	}
	size := count
	count++
	add(behindLength)
	content := count
	count++
	if a.Apart {
		add(inner)
		numbers[3], count = count, count+1
		add(last)
	} else {
		add("\r\n")
	}
	each := len(same) + 5*20
	all := 200 + 4*len(suffix) + encode.Room
	for i := range a.Items {
		all += each + len(a.Items[i].Key) + len(a.Items[i].Headers) + len(a.Items[i].Body)
	}
	w := slices.Grow(dst, all)
	if !a.Apart {
		w = append(append(append(w, opening...), '1'), "\r\n\r\n"...)
	}
	out, at := unsafe.Pointer(unsafe.SliceData(w[:cap(w)])), len(w)
	for i := range a.Items {
		item := &a.Items[i]
		number.next()
		for _, n := range numbers {
			if n >= 0 {
				number.set(&pieces[n])
			}
		}
		pieces[key] = encode.Piece{From: unsafe.Pointer(unsafe.SliceData(item.Key)), Size: len(item.Key)}
		if headers >= 0 {
			pieces[headers] = encode.Piece{From: unsafe.Pointer(unsafe.SliceData(item.Headers)),
				Size: len(item.Headers)}
		}
		pieces[content] = encode.Piece{From: unsafe.Pointer(unsafe.SliceData(item.Body)), Size: len(item.Body)}
		if i == 0 || len(item.Body) != len(a.Items[i-1].Body) {
			text := strconv.AppendInt(length[:0], int64(len(item.Body)), 10)
			pieces[size] = encode.Piece{From: unsafe.Pointer(&length[0]), Size: len(text)}
		}
		at = encode.Gather(out, at, &pieces[0], count)
	}
	w = w[:at]
	if !a.Apart {
		w = append(append(append(w, "--changeset_"...), suffix...), "_1--\r\n\r\n"...)
	}
	return append(append(append(w, "--"...), boundary...), "--\r\n"...), boundary
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
