package paging

import (
	"strings"
	"time"
)

// Verdicts of a load that has ended: the proof that it is complete, or [Unproven] (RATIONALE.md P4).
const (
	// ProvenByKey: by key, or around the last key of a single page, the service returns no row that was not read.
	ProvenByKey = "key"
	// ProvenByCount: as many different rows were read as the service counts, in one response or by links with keys.
	ProvenByCount = "count"
	// Unproven: the service offers no proof, and nothing shows that rows are missing.
	Unproven = "unproven"
)

// Verdict returns how a load ended, or "" if it has not ended.
func (p *Position) Verdict() string { return p.verdict }

// Proves reports whether a verdict names a proof.
func Proves(verdict string) bool { return verdict != "" && verdict != Unproven }

// lastPage ends a load after its last page, unless something shows that rows are missing: then it starts over, or
// fails. Requests that can support the end, or contradict it, come first.
func (t *transition) lastPage() error {
	next := t.next
	if next.totalCount > next.rowsRead && next.rowsRead == 0 {
		return t.incomplete("and " + t.position.url + " has none")
	}
	if kind := t.closingProbe(); kind != "" {
		next.probe = &probe{kind: kind, closing: true}
		return nil
	}
	next.probe = &probe{}
	return t.complete("")
}

// afterRowCount evaluates the count at the end of a load. Counts may move, because rows come and go. If the lower count
// exceeds the rows that were read by more than the counts differ, rows are missing.
func (t *transition) afterRowCount() error {
	next := t.next
	isSteady := t.Count == next.totalCount
	firstCount := next.totalCount
	gap := min(t.Count, firstCount) - next.distinctRows()
	isOfPage := t.Count < 0 || (t.Count <= t.Rows && t.Rows < next.rowsRead)
	switch {
	case firstCount < 0 && t.Count <= t.Rows:
		return t.endAfterFailure()
	case firstCount < 0:
		return t.complete("its count may end at a limit, and it ignores or rejects requests for further rows")
	case isOfPage && next.rowsRead < firstCount:
		return t.retry("and it returns no count of the set any more")
	case isOfPage:
		return t.complete("it returns no second count of the set")
	case isSteady && gap > 0 && t.position.usesKeyset():
		return t.restartWithoutKeyset("and it still counts " + itoa(t.Count))
	case isSteady && gap > 0:
		return t.retry("and it still counts " + itoa(t.Count))
	case gap > max(t.Count, firstCount)-min(t.Count, firstCount):
		// Although its counts moved, they exceed the rows that were read. If the gap is the same in the last two
		// attempts, rows are missing.
		next.seen.countGap = true
		isSame := gap == next.previous.gap
		next.previous.gap = gap
		reason := "and it counts " + itoa(next.totalCount) + " and then " + itoa(t.Count)
		if isSame && next.previous.count+1 >= maxAttempts {
			return t.retry(reason)
		}
		return t.readAgain(reason)
	case t.Count > next.rowsRead && t.isProvenByKey():
		return t.complete("")
	case t.Count > next.rowsRead && next.seen.shifted:
		return t.readAgain("and it now counts " + itoa(t.Count))
	case t.Count > next.rowsRead:
		return t.complete("its count moved during the load")
	}
	next.totalCount = t.Count
	if t.Count == next.rowsSeen() {
		next.seen.counted = shown
	}
	next.seen.steady = isSteady
	if next.rowsRead < firstCount {
		t.info(itoa(next.rowsRead) + " rows were read of " + itoa(firstCount) +
			": the others were deleted in the meantime, the service counts " + itoa(t.Count))
		if next.seen.shifted {
			return t.readAgain("deleted rows may have hidden others, since pages were requested by counting")
		}
	}
	return t.lastPage()
}

// complete ends a load whose pages were all read, after a request for the witness if that was not read. Repeated keys
// mean that moved rows may have hidden others, so the set is read again, unless the same keys repeat in two attempts:
// if a page had one twice, keys are not unique, else the load is unproven. doubt is as in [transition.finish].
func (t *transition) complete(doubt string) error {
	checks := t.next.checks
	next := t.next
	switch isMissing := next.previous.witnessHash != "" && !next.seen.witnessed; {
	case isMissing && next.previous.witness == "":
		return t.retry("and the service has a row that no page returned")
	case isMissing:
		next.probe = &probe{kind: probeEarlierRow, closing: true, key: next.previous.witness}
		return nil
	}
	if next.seen.numberedKeys {
		return t.finish("its keys number the rows of each response, as the generated keys of SAP HANA XSODATA do: " +
			"they identify no row, and no setting helps; the view needs keys of its own")
	}
	if checks.repeatCount == 0 {
		return t.finish(doubt)
	}
	reason := "at least " + itoa(checks.repeatCount) + " keys were, or may have been, on an earlier page: moved rows " +
		"may have hidden others, since pages were requested by counting"
	switch isSame := checks.repeatDigest == next.previous.repeatDigest; {
	case isSame && next.seen.duplicateKeys:
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

// isProvenByKey reports whether all pages after the first were requested by key, and the service was seen to sort so
// and to have no row after the last one; or whether it has no row before and after the last one of a single page. With
// $expand, and for texts, the number of rows must be right, too: SAP CAP on HANA sorts texts by a collation and
// compares them by bytes.
func (t *transition) isProvenByKey() bool {
	seen := &t.next.seen
	isOnePageProven := t.next.isOnePage() && seen.rowsBefore == shown
	isNumberRight := (seen.counted == shown && seen.steady) || (!t.set.Expands &&
		(!t.set.Keys.hasTexts() || (seen.ranked == shown && t.next.totalCount < 0)))
	isSorted := t.next.known.sortsByKey || seen.descends == shown
	isByKey := !t.next.isOnePage() && seen.used[byKey] && isSorted && isNumberRight
	isEmpty := t.next.rowsSeen() == 0 && t.set.canUseKeyset(t.next.known) && (seen.rowsAfter == shown || !t.set.Expands)
	return t.canProveByKey() && (isEmpty || (seen.rowsAfter == shown && (isOnePageProven || isByKey)))
}

// canProveByKey reports whether nothing excludes a proof by key.
func (t *transition) canProveByKey() bool {
	seen := &t.next.seen
	isByKey := t.set.Keys != nil && !seen.used[byLink] && !seen.used[bySkip] && !seen.assumedOrder
	return isByKey && !seen.excludesProof() && !t.expandMayHideRows()
}

// isProvenByCount reports whether the service's count equals the rows that were read, in one response, or by links at
// whose end it is the same and no row follows the last one.
func (t *transition) isProvenByCount() bool {
	next := t.next
	seen := &next.seen
	hasOneResponse := !seen.used[byLink] && !seen.used[byKey] && !seen.used[bySkip]
	isCounted := next.totalCount == next.rowsSeen()
	isEnd := hasOneResponse || (seen.counted == shown && seen.rowsAfter == shown && (seen.steady || !t.set.Expands))
	return isCounted && isEnd && t.canProveByCount()
}

// canProveByCount reports whether nothing excludes a proof by count: all rows are different, and none of them was
// requested by counting.
func (t *transition) canProveByCount() bool {
	next := t.next
	isDifferent := next.checks.repeatCount == 0 && next.checks.unreturned == 0 && !next.seen.duplicateKeys &&
		(next.checks.ascending() || next.rowsRead <= sampleSize)
	mayHideRows := next.seen.used[byKey] && next.seen.assumedOrder
	return isDifferent && !mayHideRows && !next.seen.deleted && !next.seen.excludesProof() && !t.expandMayHideRows()
}

// expandMayHideRows reports whether $expand may hide rows, because keys cannot be requested without it.
func (t *transition) expandMayHideRows() bool {
	return t.set.Expands && (t.set.Keys == nil || !t.next.canRequestKeysAlone())
}

// finish ends a load. doubt is the reason why nothing proves that it is complete, or "" if something may.
func (t *transition) finish(doubt string) error {
	next := t.next
	rows := next.rowsSeen()
	switch {
	case t.set.Partial:
		doubt = "its metadata say that it is partial (sap:isPartial)"
	case rows == 0 && next.previous.count > 0:
		doubt = "it returned rows before and now returns none"
	case next.known.overcounts && !t.set.Count:
		doubt = "its count showed, or may have shown, missing rows before " + t.set.Setting("count") + " = none was set"
	}
	verdict := Unproven
	if doubt == "" && t.isProvenByKey() {
		verdict = ProvenByKey
	} else if doubt == "" && (t.isProvenByCount() || (t.set.Singleton && rows == 1)) {
		verdict = ProvenByCount
	}
	duration := "?"
	if startedAt := int64(next.timestamp); startedAt > 0 && t.ReceivedAt >= startedAt {
		duration = (time.Duration(t.ReceivedAt-startedAt) * time.Millisecond).String()
	}
	t.info("extraction finished: " + itoa(rows) + " rows in " + duration + ", complete=" + verdict + "; " +
		t.set.AfterLoad)
	isNews := next.seen.firstSinceStart || next.previous.verdict != verdict
	if verdict == Unproven && isNews && t.set.Completeness != "off" {
		t.warn("nothing proves that the " + itoa(rows) + " rows read are all rows: " + t.set.missingProof(next, doubt))
	}
	if Proves(verdict) && next.totalCount == rows && !next.isOnePage() {
		next.known.countsWholeSet = true
	}
	next.known.overcounts = next.known.overcounts && !Proves(verdict)
	end := newPosition(next.known)
	end.isDone = true
	end.url = t.position.url
	end.rowsRead = rows
	end.totalCount = next.totalCount
	end.timestamp = int(t.ReceivedAt)
	end.snapshot.endMarkerPending = next.snapshot.endMarkerPending
	end.verdict = verdict
	if next.checks.repeatCount > 0 {
		end.previous.repeatDigest = next.previous.repeatDigest
	}
	t.next = end
	return nil
}

// missingProof returns what a service lacks for a proof, and the settings that help.
func (s *Set) missingProof(position *Position, doubt string) string {
	seen := &position.seen
	var reasons []string
	if doubt != "" {
		reasons = append(reasons, strings.TrimPrefix(doubt, "and "))
	}
	switch {
	case s.Keys == nil:
		reasons = append(reasons, "its type has no key")
	case seen.duplicateKeys:
		reasons = append(reasons, "its keys occur more than once")
	case position.known.refusesOrderBy || !s.Ordered:
		reasons = append(reasons, "it does not sort by key ($orderby)")
	case position.known.ignoresKeyFilter:
		reasons = append(reasons, "it does not select by key ($filter and $orderby)")
	case seen.assumedOrder, position.rowsRead > 0 && !position.checks.ascending():
		reasons = append(reasons, "nothing shows that it sorts by key ($orderby)")
	case s.Paging == "links" && seen.shifted:
		reasons = append(reasons, "its links count rows; "+s.Setting("paging")+" = keys requests rows by key")
	}
	switch {
	case seen.equalKeys:
		reasons = append(reasons, "its pages have one row, which hides rows with equal keys")
	case !s.Count:
		reasons = append(reasons, s.Setting("count")+" = none requests no count")
	case seen.mayCountPage:
		reasons = append(reasons, "its count may be that of a page")
	case position.totalCount < 0:
		reasons = append(reasons, "it returns no count that covers the set")
	case position.totalCount != position.rowsSeen():
		reasons = append(reasons, "it counts "+itoa(position.totalCount)+" rows")
	case seen.shifted:
		reasons = append(reasons, "its count stays the same if one row is deleted and another inserted")
	}
	if len(reasons) == 0 {
		reasons = append(reasons, "its answers leave open whether rows are missing")
	}
	return strings.Join(reasons, "; ") + ". " + s.Setting("completeness") +
		" = off hides this warning, require makes it an error"
}

// CanProve reports whether a load of the set can be proven, as far as the configuration and the metadata show.
func (s *Set) CanProve() bool {
	return !s.Partial && ((s.Count && s.Countable) || s.Singleton || s.canUseKeyset(known{}))
}
