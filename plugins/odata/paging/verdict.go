package paging

import (
	"strings"
	"time"
)

// Verdicts of a load that has ended: the proof that it is complete, or [Unproven] (RATIONALE.md P4).
const (
	// ProvenByKey: pages were requested by key, the service was seen to sort, and nothing follows the last key.
	ProvenByKey = "key"
	// provenByCount: as many different rows were read as the service counts, in one response or by links with keys.
	provenByCount = "count"
	// Unproven: the service offers no proof, and nothing shows that rows are missing.
	Unproven = "unproven"
)

// Verdict returns how a load ended, or "" if it has not ended.
func (p *Position) Verdict() string { return p.verdict }

// Proves reports whether a verdict names a proof.
func Proves(verdict string) bool { return verdict != "" && verdict != Unproven }

// lastPage ends a load after its last page, unless something shows that rows are missing: then it starts over, or
// fails. If only another request can show this, that request comes first.
func (t *transition) lastPage() error {
	next := t.next
	isMissing := next.totalCount > next.rowsRead
	switch {
	case t.settleSuspicion(probeKnownEnd):
		return nil
	case isMissing && next.rowsRead == 0:
		return t.incomplete("and " + t.position.url + " has none")
	case isMissing, t.canConfirmCount():
		next.probe = &probe{kind: probeRowCount}
		return nil
	}
	return t.complete("")
}

// canConfirmCount reports whether a second count, at the end, can confirm the first one.
func (t *transition) canConfirmCount() bool {
	return t.next.capabilities.has(linksWorked) && t.isProvenByCount()
}

// afterRowCount evaluates the count at the end of a load. A count above the rows read shows that rows are missing if it
// is the same as at first. If it has changed, it shows nothing.
func (t *transition) afterRowCount() error {
	next := t.next
	isSteady := t.Count == next.totalCount
	isMissing := next.rowsRead < next.totalCount
	isOfPage := t.Count < 0 || (t.Count <= t.Rows && t.Rows < next.rowsRead)
	switch {
	case isOfPage && isMissing:
		return t.retry("and it returns no count of the set any more")
	case isOfPage:
		return t.complete("it returns no second count of the set")
	case t.Count <= next.rowsRead:
		firstCount := next.totalCount
		next.totalCount = t.Count
		if next.rowsRead < firstCount {
			t.info(itoa(next.rowsRead) + " rows were read of " + itoa(firstCount) +
				": the others were deleted in the meantime, the service counts " + itoa(t.Count))
			if next.capabilities.has(rowsMayShift) {
				return t.readAgain("deleted rows may have hidden others, since pages were requested by counting")
			}
		}
		return t.complete("")
	case isSteady && t.position.usesKeyset():
		return t.restartWithoutKeyset("and it still counts " + itoa(t.Count))
	case isSteady:
		return t.retry("and it still counts " + itoa(t.Count))
	case t.isProvenByKey():
		return t.complete("")
	case next.capabilities.has(rowsMayShift):
		return t.readAgain("and it now counts " + itoa(t.Count))
	}
	return t.complete("its count moved during the load")
}

// complete ends a load whose pages were all read. Repeated keys mean that moved rows may have hidden others, so the set
// is read again, unless the same keys repeat in two attempts: if a page had one twice, keys are not unique, else the
// load is unproven. doubt is as in [transition.finish].
func (t *transition) complete(doubt string) error {
	checks := t.next.checks
	next := t.next
	if next.capabilities.has(keysNumberRows) {
		return t.finish("its keys number the rows of each response, as the generated keys of SAP HANA XSODATA do: " +
			"they identify no row, and no setting helps; the view needs keys of its own")
	}
	if checks.repeatCount == 0 || t.set.Keys == nil {
		return t.finish(doubt)
	}
	reason := "at least " + itoa(checks.repeatCount) + " keys were, or may have been, on an earlier page: moved rows " +
		"may have hidden others, since pages were requested by counting"
	switch isSame := checks.repeatDigest == next.previous.repeatDigest; {
	case isSame && next.capabilities.has(duplicateKeys):
		if t.position.previous.count > 0 {
			t.warn(itoa(checks.repeatCount) + " keys are duplicated, in each attempt and on one page; " +
				"the entity set's keys are not unique")
		}
		return t.finish(doubt)
	case isSame:
		return t.finish(reason + "; they were the same each time the set was read")
	}
	next.previous.repeatDigest = checks.repeatDigest
	return t.readAgain("and " + reason)
}

// readAgain reads the set again if only that can show whether rows are missing. If it may not be read again, or was
// often enough, the load ends without proof.
func (t *transition) readAgain(reason string) error {
	t.next.previous.count++
	isExcluded := t.set.ExactlyOnce && (t.next.rowsRead > 0 || t.emittedRows > 0)
	if isExcluded || t.next.previous.count >= maxAttempts {
		return t.finish(reason)
	}
	return t.restart(reason)
}

// isProvenByKey reports whether all pages after the first were requested by key, and the service was seen to sort so.
func (t *transition) isProvenByKey() bool {
	capabilities := t.next.capabilities
	isEmpty := t.next.rowsSeen() == 0 && t.set.canUseKeyset(capabilities)
	isByKey := t.position.usesKeyset() && capabilities.has(sortsByKey)
	return (isEmpty || isByKey) && !capabilities.has(linksWorked|skipWorked|rowsMayShift|leftUnreadRows|equalKeysUnseen|
		orderAssumed)
}

// isProvenByCount reports whether the service's count equals the rows that were read, all of them different, and none
// of them was requested by counting. A count that may be of the first page alone is believed if it is not higher than
// in a load that was proven, or after a speculative page without new rows: by key, if the service sorts; by $skip, if
// it starts with the last row. No count is believed if pages were requested by key and their order was only assumed.
func (t *transition) isProvenByCount() bool {
	next := t.next
	hasOneResponse := !next.capabilities.has(linksWorked | keysWorked | skipWorked)
	isAnswerBelieved := !next.capabilities.has(skipUnreliable) && (t.startsWithLast || next.rowsRead == 1)
	if t.position.usesKeyset() {
		isAnswerBelieved = next.capabilities.has(sortsByKey)
	}
	isCounted := next.totalCount == next.rowsSeen() || (next.capabilities.has(countMayBePageOnly) && hasOneResponse &&
		t.position.pager.speculative && isAnswerBelieved)
	isDifferent := next.checks.repeatCount == 0 && next.checks.unreturned == 0 &&
		!next.capabilities.has(duplicateKeys) && (next.checks.ascending() || next.rowsRead <= sampleSize)
	mayHideRows := next.capabilities.has(keysWorked) && next.capabilities.has(orderAssumed)
	return isCounted && isDifferent && !mayHideRows &&
		!next.capabilities.has(rowsMayShift|leftUnreadRows|equalKeysUnseen)
}

// finish ends a load. doubt is the reason why nothing proves that it is complete, or "" if something may.
func (t *transition) finish(doubt string) error {
	next := t.next
	rows := next.rowsSeen()
	if rows == 0 && next.previous.count > 0 {
		doubt = "it returned rows before and now returns none"
	}
	verdict := Unproven
	if doubt == "" && t.isProvenByKey() {
		verdict = ProvenByKey
	} else if doubt == "" && t.isProvenByCount() {
		verdict = provenByCount
	}
	duration := "?"
	if startedAt := int64(next.timestamp); startedAt > 0 && t.ReceivedAt >= startedAt {
		duration = (time.Duration(t.ReceivedAt-startedAt) * time.Millisecond).String()
	}
	t.info("extraction finished: " + itoa(rows) + " rows in " + duration + ", complete=" + verdict + "; " +
		t.set.AfterLoad)
	isNews := next.capabilities.has(firstSinceStart) || next.previous.verdict != verdict
	if verdict == Unproven && isNews && t.set.Completeness != "off" {
		t.warn("nothing proves that the " + itoa(rows) + " rows read are all rows: " + t.set.missingProof(next, doubt))
	}
	hasManyPages := next.capabilities.has(keysWorked | linksWorked | skipWorked)
	if Proves(verdict) && next.totalCount == rows && hasManyPages {
		next.capabilities.set(countsWholeSet, true)
	}
	end := newPosition(next.capabilities&serviceCapabilities | loadComplete)
	end.url = t.position.url
	end.rowsRead = rows
	end.totalCount = next.totalCount
	end.timestamp = int(t.ReceivedAt)
	end.endMarkerPending = next.endMarkerPending
	end.verdict = verdict
	if Proves(verdict) && !hasManyPages {
		end.previous.provenRows = rows
	}
	end.previous.outOfOrderKey = next.previous.outOfOrderKey
	if next.checks.repeatCount > 0 {
		end.previous.repeatDigest = next.previous.repeatDigest
	}
	t.next = end
	return nil
}

// missingProof returns what a service lacks for a proof, and the settings that help.
func (s *Set) missingProof(position *Position, doubt string) string {
	capabilities := position.capabilities
	var reasons []string
	if doubt != "" {
		reasons = append(reasons, strings.TrimPrefix(doubt, "and "))
	}
	switch {
	case s.Keys == nil:
		reasons = append(reasons, "its type has no key")
	case capabilities.has(duplicateKeys):
		reasons = append(reasons, "its keys occur more than once")
	case capabilities.has(refusesOrderBy) || !s.Ordered:
		reasons = append(reasons, "it does not sort by key ($orderby)")
	case capabilities.has(ignoresKeyFilter):
		reasons = append(reasons, "it does not select by key ($filter and $orderby)")
	case capabilities.has(orderAssumed), position.rowsRead > 0 && !position.checks.ascending():
		reasons = append(reasons, "nothing shows that it sorts by key ($orderby)")
	case s.Paging == "links" && capabilities.has(rowsMayShift):
		reasons = append(reasons, "its links count rows; "+s.Setting("paging")+" = keys requests rows by key")
	}
	switch {
	case capabilities.has(equalKeysUnseen):
		reasons = append(reasons, "its pages have one row, which hides rows with equal keys")
	case !s.Count:
		reasons = append(reasons, s.Setting("count")+" = none requests no count")
	case capabilities.has(countMayBePageOnly):
		reasons = append(reasons, "its count may be that of a page")
	case position.totalCount < 0:
		reasons = append(reasons, "it returns no count that covers the set")
	case position.totalCount != position.rowsSeen():
		reasons = append(reasons, "it counts "+itoa(position.totalCount)+" rows")
	case capabilities.has(rowsMayShift):
		reasons = append(reasons, "its count stays the same if one row is deleted and another inserted")
	}
	if len(reasons) == 0 {
		reasons = append(reasons, "its answers contradict each other")
	}
	return strings.Join(reasons, "; ") + ". " + s.Setting("completeness") +
		" = off hides this warning, require makes it an error"
}

// CanProve reports whether a load of the set can be proven, as far as the configuration and the metadata show.
func (s *Set) CanProve() bool { return (s.Count && s.Countable) || s.canUseKeyset(0) }

// suspect records that the next page, or the last one, may not follow the rows before it. It is settled by a request
// that skips those rows ($skip): all rows of its response must have been read.
func (t *transition) suspect(rowsBefore int) {
	if t.next.suspectFrom == 0 && rowsBefore > 0 && t.set.Pageable && !t.next.capabilities.has(suspicionSettled) {
		t.next.suspectFrom = rowsBefore
	}
}

// suspectJump suspects a link with a number of rows that is higher than the rows read. It is right where the service
// hides rows.
func (t *transition) suspectJump(link string) {
	if row, ok := rowNumberIn(link); ok && row > t.next.rowsRead+1 {
		t.suspect(t.next.rowsRead)
	}
}

// suspectContents suspects a page that repeats the page before under other keys. That is right where few properties are
// selected. A page of other rows under the same keys shows that keys number the rows of each response.
func (t *transition) suspectContents() {
	checks := t.next.checks
	contents := encodeHash(t.digest.contents)
	if t.digest.rows > 1 && contents == checks.contents && t.overlapRows() == 0 && !t.position.usesKeyset() {
		t.suspect(t.position.rowsRead)
	}
	keys := encodeHash(t.digest.keys)
	if t.digest.rows > 1 && keys == checks.keys && contents != checks.contents {
		t.next.capabilities.set(keysNumberRows, true)
	}
	if t.digest.rows > 0 {
		checks.contents = contents
		checks.keys = keys
	}
}

// settleSuspicion requests the rows in place of a suspected page by $skip, after that page was read. It reports whether
// it did.
func (t *transition) settleSuspicion(kind string) bool {
	next := t.next
	isReady := next.suspectFrom > 0 && next.suspectFrom <= t.position.rowsRead
	if !isReady || next.probe.kind != "" || next.capabilities.has(loadComplete) {
		return false
	}
	next.probe = &probe{kind: kind, fallbackLink: next.probe.fallbackLink}
	return true
}

// afterKnownRows evaluates the answer to a suspicion.
func (t *transition) afterKnownRows() error {
	next := t.next
	if t.hasUnreadRow {
		return t.retry("the service has rows between two pages that neither of them had")
	}
	next.suspectFrom = 0
	next.capabilities.set(suspicionSettled, true)
	if t.position.probe.kind == probeKnownEnd {
		return t.lastPage()
	}
	return nil
}
