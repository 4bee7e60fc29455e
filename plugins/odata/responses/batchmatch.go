package responses

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/batch"
)

// outcome is what a response to a batch contains for a row.
type outcome struct {
	message            *batch.Message // nil without a response
	isChangesetFailure bool           // the message is the single response to a failed changeset
	inconclusive       uint16         // a 2xx status in the changeset that does not prove the write. Zero means none.
}

// match assigns responses to rows: parts by position, because many services send no Content-ID, and operations of a
// changeset by Content-ID if all have one. A Content-ID of another operation invalidates the whole response.
func (b *sentBatch) match(document batch.Document) []outcome {
	outcomes := make([]outcome, len(b.Targets))
	missing := len(b.Parts) - len(document.Parts)
	if missing < 0 || (missing > 0 && document.Complete && !endsWithFailure(document)) {
		return outcomes
	}
	var row, operation int
	for i := range document.Parts {
		rows := b.Targets[row : row+b.Parts[i]]
		part := partResponse{response: &document.Parts[i], firstOperation: operation,
			operations: len(rows) + rows[0].NestedUpdates, isRead: rows[0].IsETagRead()}
		if !part.match(outcomes[row : row+len(rows)]) {
			return make([]outcome, len(b.Targets))
		}
		row += len(rows)
		operation += part.operations
	}
	return outcomes
}

// answersAll reports whether a response has a message for each operation, or an error in place of a changeset.
func (b *sentBatch) answersAll(document batch.Document) bool {
	if !document.Complete || len(document.Parts) < len(b.Parts) {
		return false
	}
	row := 0
	for i, count := range b.Parts {
		messages := document.Parts[i].Messages
		isError := len(messages) == 1 && messages[0].Status() >= 400
		if !isError && len(messages) < count+b.Targets[row].NestedUpdates {
			return false
		}
		row += count
	}
	return true
}

// partResponse matches the response to one part of a batch with the part's rows.
type partResponse struct {
	response       *batch.ParsedPart
	firstOperation int  // its index in the batch
	operations     int  // number of operations of the part
	isRead         bool // the part reads an ETag. Its Content-ID is not checked.
}

// match sets the outcomes of the part's rows. It returns false if a response belongs to another part. An incomplete
// response to a changeset sets no outcomes.
func (p *partResponse) match(outcomes []outcome) (ok bool) {
	messages := p.response.Messages
	switch {
	case len(messages) == 1 && messages[0].Complete && messages[0].Status() != 0:
		return p.matchSingle(&messages[0], outcomes)
	case !p.response.Complete || len(messages) != p.operations:
		return true // without outcomes
	}
	return p.matchOperations(outcomes)
}

// matchSingle matches a single message: the response to one operation, or to a failed changeset.
func (p *partResponse) matchSingle(message *batch.Message, outcomes []outcome) (ok bool) {
	isFailure := message.Status() >= 400
	if operation, hasID := p.operationOf(message); hasID && !p.isRead {
		isInPart := operation >= 0 && operation < p.operations
		if !isInPart || (!isFailure && operation > 0) {
			return false
		}
	}
	switch {
	case len(outcomes) == 1 && (isFailure || p.operations == 1): // nested updates fail with their row
		outcomes[0].message = message
	case isFailure:
		for i := range outcomes {
			outcomes[i] = outcome{message: message, isChangesetFailure: true}
		}
	}
	return true
}

// matchOperations matches one message for each operation of a changeset. If one does not prove that its operation was
// done, no row has a message.
func (p *partResponse) matchOperations(outcomes []outcome) (ok bool) {
	messages := p.response.Messages
	allHaveIDs := true
	for i := range messages {
		message := &messages[i]
		if !message.Complete || !provesDone(message.Status()) {
			for row := range outcomes {
				if message.Complete && isSuccess(message.Status()) {
					outcomes[row].inconclusive = message.Status()
				}
			}
			return true
		}
		operation, hasID := p.operationOf(message)
		if hasID && (operation < 0 || operation >= p.operations) {
			return false
		}
		allHaveIDs = allHaveIDs && hasID
	}
	for i := range messages {
		row := i
		operation, hasID := p.operationOf(&messages[i])
		if allHaveIDs {
			row = operation
		} else if hasID && operation != i {
			return false
		}
		if row < len(outcomes) { // the operations of nested updates follow
			outcomes[row].message = &messages[i]
		}
	}
	return true
}

// operationOf returns the index of an operation in its part, by the Content-ID of the response. The index is out of
// range for an operation of another part. hasID is false without a number as Content-ID.
func (p *partResponse) operationOf(message *batch.Message) (operation int, hasID bool) {
	if message.ID == "" {
		return 0, false
	}
	id, err := strconv.Atoi(message.ID)
	return id - 1 - p.firstOperation, err == nil
}

func endsWithFailure(document batch.Document) bool {
	if len(document.Parts) == 0 {
		return false
	}
	last := &document.Parts[len(document.Parts)-1]
	return len(last.Messages) == 1 && last.Messages[0].Complete && last.Messages[0].Status() >= 400
}
