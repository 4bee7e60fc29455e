package odatatest

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// partRecorder is one response inside the response to a batch; it is an http.ResponseWriter.
type partRecorder struct {
	id     string
	header http.Header
	status int
	body   bytes.Buffer
}

// Header returns the headers of the response.
func (p *partRecorder) Header() http.Header { return p.header }

// WriteHeader sets the status. Only the first call counts.
func (p *partRecorder) WriteHeader(status int) {
	if p.status == 0 {
		p.status = status
	}
}

// Write appends to the body.
func (p *partRecorder) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	return p.body.Write(b)
}

// changeset collects the writes of a changeset: they are undone if one of them fails, else recorded.
type changeset struct {
	undo []func() // one for each applied write
	done []func() // called when all writes are applied
}

func (c *changeset) rollback() {
	for _, undo := range slices.Backward(c.undo) {
		undo()
	}
}

func (c *changeset) commit() {
	for _, done := range c.done {
		done()
	}
}

// partAnswer is a part of the response to a batch. A read and a failed changeset have a single response.
type partAnswer struct {
	parts       []*partRecorder
	isChangeset bool // the parts are the responses to a changeset
}

// serveBatch answers POST $batch: its parts in order, a changeset as a whole or not at all.
func (ex *exchange) serveBatch() *fault {
	if ex.method != http.MethodPost {
		return notAllowed()
	}
	if ex.sw.NoBatch {
		return &fault{status: http.StatusNotImplemented, message: "$batch is not part of this service"}
	}
	limit := int64(maxBody)
	if ex.sw.BatchLimit > 0 {
		limit = int64(ex.sw.BatchLimit)
	}
	raw, err := io.ReadAll(http.MaxBytesReader(nil, ex.r.Body, limit))
	if err != nil {
		return &fault{status: http.StatusRequestEntityTooLarge,
			message: fmt.Sprintf("expected at most %d bytes: %v", limit, err), page: ex.sw.BatchLimit > 0}
	}
	if f := ex.refuse(raw); f != nil && ex.sw.RefuseBatch {
		return f
	}
	kind, parameters, err := mime.ParseMediaType(ex.r.Header.Get("Content-Type"))
	if kind == "application/json" && ex.mount.dialect.needsExactNumbers {
		if ex.sw.NoJSONBatch {
			return badRequest("Invalid content type")
		}
		ex.service.book.update(func(l *Ledger) { l.Batches++ })
		return ex.serveJSONBatch(raw)
	}
	if err != nil || kind != "multipart/mixed" || parameters["boundary"] == "" {
		return &fault{status: http.StatusUnsupportedMediaType,
			message: fmt.Sprintf("expected multipart/mixed with a boundary, found '%s'",
				ex.r.Header.Get("Content-Type"))}
	}
	ex.service.book.update(func(l *Ledger) { l.Batches++ })
	var answers []partAnswer
	for r := multipart.NewReader(bytes.NewReader(raw), parameters["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return badRequest("The batch cannot be read: %v", err)
		}
		a, f := ex.servePart(p)
		if f != nil {
			return f
		}
		answers = append(answers, a)
		if ex.sw.BatchStop && a.parts[len(a.parts)-1].status >= 400 {
			break
		}
	}
	if ex.loseAnswer() {
		return nil
	}
	if ex.sw.BatchAnswers > 0 {
		answers = answers[:min(len(answers), ex.sw.BatchAnswers)]
	}
	// Header names are in lower case, and parts and messages have lengths, like SAP Gateway's.
	var b bytes.Buffer
	boundary := newSecret()[:16]
	for i, a := range answers {
		fmt.Fprintf(&b, "--%s\r\n", boundary)
		if !a.isChangeset {
			a.parts[0].append(&b)
			continue
		}
		inner := boundary + "_" + strconv.Itoa(i)
		var set bytes.Buffer
		for _, p := range a.parts {
			fmt.Fprintf(&set, "--%s\r\n", inner)
			p.append(&set)
		}
		fmt.Fprintf(&set, "--%s--\r\n", inner)
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=%s\r\nContent-Length: %d\r\n\r\n%s\r\n", inner,
			set.Len(), set.Bytes())
	}
	fmt.Fprintf(&b, "--%s--\r\n", boundary)
	h := ex.w.Header()
	h.Set(ex.mount.dialect.versionHeader, ex.mount.dialect.version)
	h.Set("Content-Type", "multipart/mixed; boundary="+boundary)
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	ex.w.WriteHeader(http.StatusAccepted)
	ex.w.Write(b.Bytes())
	return nil
}

// servePart executes a part of a batch: a single request, or a changeset, which is undone if one of its writes fails.
func (ex *exchange) servePart(p *multipart.Part) (partAnswer, *fault) {
	kind, parameters, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
	if kind != "multipart/mixed" {
		inner, f := ex.readPart(p, nil)
		if f != nil {
			return partAnswer{}, f
		}
		inner.run()
		return partAnswer{parts: []*partRecorder{inner.w.(*partRecorder)}}, nil
	}
	ex.service.changing.Lock()
	defer ex.service.changing.Unlock()
	set := &changeset{}
	var operations []*exchange
	for r := multipart.NewReader(p, parameters["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return partAnswer{}, badRequest("A changeset cannot be read: %v", err)
		}
		inner, f := ex.readPart(p, set)
		if f != nil {
			return partAnswer{}, f
		}
		operations = append(operations, inner)
	}
	return ex.runChangeset(set, operations), nil
}

// runChangeset executes the writes of a changeset, which are undone if one of them fails.
func (ex *exchange) runChangeset(set *changeset, operations []*exchange) partAnswer {
	if ex.sw.Changesets == "one" && len(operations) > 1 {
		// Assumption: the text is SAP's for services that leave changesets to the framework; the code is invented.
		f := &fault{status: http.StatusBadRequest, code: "/IWBEP/CM_MGW_RT/026",
			message: "Default changeset implementation allows only one operation"}
		f.write(operations[0])
		return partAnswer{parts: []*partRecorder{operations[0].w.(*partRecorder)}}
	}
	var a partAnswer
	for _, inner := range operations {
		inner.run()
		recorder := inner.w.(*partRecorder)
		if recorder.status >= 400 {
			set.rollback()
			return partAnswer{parts: []*partRecorder{recorder}}
		}
		a.parts = append(a.parts, recorder)
	}
	set.commit()
	a.isChangeset = true
	return a
}

// readPart returns the exchange of a request inside a batch; set is nil outside of changesets.
func (ex *exchange) readPart(p *multipart.Part, set *changeset) (*exchange, *fault) {
	reader := textproto.NewReader(bufio.NewReader(p))
	line, err := reader.ReadLine()
	words := strings.Fields(line)
	if err != nil || len(words) < 2 {
		return nil, badRequest("A part of the batch has no request: '%s'", line)
	}
	header, err := reader.ReadMIMEHeader()
	if err != nil && err != io.EOF {
		return nil, badRequest("The headers of a part cannot be read: %v", err)
	}
	body, err := io.ReadAll(reader.R)
	if err != nil {
		return nil, badRequest("A part cannot be read: %v", err)
	}
	if n, err := strconv.Atoi(header.Get("Content-Length")); err == nil && n >= 0 && n <= len(body) {
		body = body[:n]
	}
	// The target is between the method and the version, and may contain blanks.
	return ex.newInner(cmp.Or(p.Header.Get("Content-Id"), header.Get("Content-Id")), words[0],
		strings.Join(words[1:max(2, len(words)-1)], " "), http.Header(header), body, set)
}

// newInner returns the exchange of a request inside a batch; set is nil outside of changesets.
func (ex *exchange) newInner(id, method, target string, header http.Header, body []byte,
	set *changeset) (*exchange, *fault) {
	r, err := http.NewRequestWithContext(ex.r.Context(), method, ex.base, bytes.NewReader(body))
	if err != nil {
		return nil, badRequest("The method of a part cannot be read: %v", err)
	}
	r.Header = header
	r.Host = ex.r.Host
	sw := ex.sw
	sw.LoseAnswer = 0
	if ex.isMatched() {
		sw.Match = "\x00" // matches no part: the faults were for the batch itself
	}
	inner := &exchange{service: ex.service, mount: ex.mount, w: &partRecorder{id: id, header: http.Header{}}, r: r,
		sw: sw, session: ex.session, server: ex.server, method: r.Method, base: ex.base, set: set,
		target: target, json: strings.Contains(header.Get("Accept"), "json")}
	return inner, nil
}

// run answers a request inside a batch.
func (ex *exchange) run() {
	if f := ex.answerInner(ex.target); f != nil {
		f.write(ex)
	}
}

// answerInner answers a request inside a batch, whose address may be relative to the service.
func (ex *exchange) answerInner(address string) *fault {
	if !strings.HasPrefix(address, "/") && !strings.Contains(address, "://") {
		address = ex.base + address
	}
	u, err := ex.r.URL.Parse(strings.ReplaceAll(address, " ", "%20"))
	if err != nil {
		return badRequest("The address of a part cannot be read: %s", address)
	}
	ex.r.URL = u
	resourcePath, ok := strings.CutPrefix(u.EscapedPath()+"/", ex.mount.path)
	if !ok || strings.HasPrefix(resourcePath, "$batch") {
		return notFound(u.Path)
	}
	q, f := ex.mount.dialect.parseQuery(u.RawQuery)
	if f != nil {
		return f
	}
	ex.query = q
	if f := ex.negotiate(); f != nil {
		return f
	}
	if ex.answerFault() {
		return nil
	}
	if ex.set != nil && (ex.method == http.MethodGet || ex.method == http.MethodHead) {
		return badRequest("A changeset must not contain requests that read")
	}
	return ex.route(strings.TrimRight(resourcePath, "/"))
}

// append writes the part, with its boundary headers, to the response to the batch.
func (p *partRecorder) append(b *bytes.Buffer) {
	var message bytes.Buffer
	fmt.Fprintf(&message, "HTTP/1.1 %d %s\r\n", p.status, http.StatusText(p.status))
	p.header.Del("Content-Length")
	for _, name := range slices.Sorted(maps.Keys(p.header)) {
		fmt.Fprintf(&message, "%s: %s\r\n", strings.ToLower(name), p.header.Get(name))
	}
	fmt.Fprintf(&message, "content-length: %d\r\n\r\n%s\r\n", p.body.Len(), p.body.Bytes())
	fmt.Fprintf(b, "Content-Type: application/http\r\nContent-Length: %d\r\ncontent-transfer-encoding: binary\r\n",
		message.Len())
	if p.id != "" {
		fmt.Fprintf(b, "Content-ID: %s\r\n", p.id)
	}
	fmt.Fprintf(b, "\r\n%s\r\n", message.Bytes())
}
