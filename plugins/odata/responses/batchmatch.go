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
func (b *sentBatch) match(document batch.Document) []outcome {
	outcomes := make([]outcome, len(b.Targets))
	if len(document.Parts) != len(b.Parts) && (len(document.Parts) > len(b.Parts) || document.Complete &&
		!endsWithFailure(document)) {
		return outcomes
	}
	row, operation := 0, 0
	for i := range document.Parts {
		rows := b.Targets[row : row+b.Parts[i]]
		part := partResponse{response: &document.Parts[i], first: operation, operations: len(rows) +
			rows[0].NestedUpdates,
			isRead: rows[0].IsETagRead()}
		if !part.match(outcomes[row : row+len(rows)]) {
			return make([]outcome, len(b.Targets))
		}
		row, operation = row+len(rows), operation+part.operations
	}
	return outcomes
}

type partResponse struct {
	response          *batch.ParsedPart
	first, operations int
	isRead            bool
}

// match returns false if a response belongs to another part. A changeset must be complete and consistent.
func (p *partResponse) match(outcomes []outcome) (ok bool) {
	messages := p.response.Messages
	if len(messages) == 1 && messages[0].Complete && messages[0].Status() != 0 {
		message := &messages[0]
		failed := message.Status() >= 400
		if id, ok := p.contentID(message); ok && !p.isRead && (id < 0 || id >= p.operations || !failed && id > 0) {
			return false
		}
		switch {
		case len(outcomes) == 1 && (failed || p.operations == 1): // nested updates fail with their row
			outcomes[0].message = message
		case failed:
			for i := range outcomes {
				outcomes[i] = outcome{message: message, failed: true}
			}
		}
		return true
	}
	if !p.response.Complete || len(messages) != p.operations {
		return true
	}
	return p.matchOperations(outcomes)
}

func (p *partResponse) matchOperations(outcomes []outcome) (ok bool) {
	messages := p.response.Messages
	byID := true
	for i := range messages {
		message := &messages[i]
		if !message.Complete || !provesDone(message.Status()) {
			for j := range outcomes {
				if message.Complete && isSuccess(message.Status()) {
					outcomes[j].inconclusive = message.Status()
				}
			}
			return true
		}
		id, ok := p.contentID(message)
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

func (p *partResponse) contentID(message *batch.Message) (id int, ok bool) {
	id, err := strconv.Atoi(message.ID)
	return id - 1 - p.first, err == nil
}

func endsWithFailure(document batch.Document) bool {
	if len(document.Parts) == 0 {
		return false
	}
	last := &document.Parts[len(document.Parts)-1]
	return len(last.Messages) == 1 && last.Messages[0].Complete && last.Messages[0].Status() >= 400
}
