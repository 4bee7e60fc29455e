package responses

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/batch"
)

type outcome struct {
	// message is nil without a response. With failed it is the single response to a changeset.
	message *batch.Message
	failed  bool
	// inconclusive is a 2xx status in the changeset that does not prove the write. Zero means none.
	inconclusive uint16
}

// match assigns responses to rows: parts by position, because many services send no Content-ID, and operations of a
// changeset by Content-ID if all have one. A Content-ID of another operation invalidates the whole response.
func (b *sentBatch) match(d batch.Document) []outcome {
	outcomes := make([]outcome, len(b.Targets))
	if len(d.Parts) != len(b.Parts) && (len(d.Parts) > len(b.Parts) || d.Complete && !endsWithFailure(d)) {
		return outcomes
	}
	row, operation := 0, 0
	for i := range d.Parts {
		rows := b.Targets[row : row+b.Parts[i]]
		p := answeredPart{response: &d.Parts[i], first: operation, operations: len(rows) + rows[0].NestedUpdates,
			isRead: rows[0].IsETagRead()}
		if !p.match(outcomes[row : row+len(rows)]) {
			return make([]outcome, len(b.Targets))
		}
		row, operation = row+len(rows), operation+p.operations
	}
	return outcomes
}

type answeredPart struct {
	response          *batch.ParsedPart
	first, operations int
	isRead            bool
}

// match returns false if a response belongs to another part. A changeset must be complete and consistent.
func (p *answeredPart) match(outcomes []outcome) (ok bool) {
	messages := p.response.Messages
	if len(messages) == 1 && messages[0].Complete && messages[0].Status() != 0 {
		m := &messages[0]
		failed := m.Status() >= 400
		if id, ok := p.contentID(m); ok && !p.isRead && (id < 0 || id >= p.operations || !failed && id > 0) {
			return false
		}
		switch {
		case len(outcomes) == 1 && (failed || p.operations == 1): // nested updates fail with their row
			outcomes[0].message = m
		case failed:
			for i := range outcomes {
				outcomes[i] = outcome{message: m, failed: true}
			}
		}
		return true
	}
	if !p.response.Complete || len(messages) != p.operations {
		return true
	}
	return p.matchOperations(outcomes)
}

func (p *answeredPart) matchOperations(outcomes []outcome) (ok bool) {
	messages := p.response.Messages
	byID := true
	for i := range messages {
		m := &messages[i]
		if !m.Complete || !provesDone(m.Status()) {
			for j := range outcomes {
				if m.Complete && isSuccess(m.Status()) {
					outcomes[j].inconclusive = m.Status()
				}
			}
			return true
		}
		id, ok := p.contentID(m)
		if ok && (id < 0 || id >= p.operations) {
			return false
		}
		byID = byID && ok
	}
	for i := range messages {
		to := i
		if id, ok := p.contentID(&messages[i]); byID {
			to = id
		} else if ok && id != i {
			return false
		}
		if to < len(outcomes) {
			outcomes[to].message = &messages[i]
		}
	}
	return true
}

func (p *answeredPart) contentID(m *batch.Message) (id int, ok bool) {
	id, err := strconv.Atoi(m.ID)
	return id - 1 - p.first, err == nil
}

func endsWithFailure(d batch.Document) bool {
	if len(d.Parts) == 0 {
		return false
	}
	last := &d.Parts[len(d.Parts)-1]
	return len(last.Messages) == 1 && last.Messages[0].Complete && last.Messages[0].Status() >= 400
}
