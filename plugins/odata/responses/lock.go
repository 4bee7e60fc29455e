package responses

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// lockOf returns the kind of lock that an error reports, if the request certainly changed nothing, or may be repeated.
// The status or, for a 500, the error document must prove this (RATIONALE.md P17 and P19).
func (h responseHandler) lockOf(target *requests.Target, response *odataerror.Response) odataerror.LockKind {
	switch response.Status {
	case 0, 401, 404, 408, 410, 413, 429: // these have other meanings
		return odataerror.NotLocked
	}
	_, _, isDocument := response.Document()
	isRejection := response.Status == 400 || (isDocument && wit.IsRejection(response.Status))
	isServerError := response.Status == 500
	switch {
	case isRejection, isServerError && target.IsRepeatable(h.State), isServerError && isDocument && target.InBatch,
		isDocument && response.LockProvesNothingDone():
		return response.Lock()
	}
	return odataerror.NotLocked
}

// lockResult sends a row again whose data are locked, as often as other rows. Then the host rejects the row, because
// the error is not transient: the lock may be permanent, and the other rows can be written. A locked user, client or
// system concerns all rows, so that error is transient and fails the task in the end. So does a lock with a configured
// status or code (RATIONALE.md P31).
func (h responseHandler) lockResult(response *odataerror.Response, failure *wit.Error,
	lock odataerror.LockKind) wit.RowResult {
	code, _, _ := response.Document()
	if lock == odataerror.LogonLocked || odataerror.MatchesCode(h.RetryCodes, response.Status, code) {
		failure.Kind = wit.ErrorTransient
		return retry(failure)
	}
	failure.Kind = wit.ErrorConflict
	if failure.Code != nil {
		if _, err := strconv.Atoi(*failure.Code); err != nil { // a message code, no HTTP status
			failure.Message += "; with " + *failure.Code + " added to " + sinkconfig.NameHTTPCodes +
				", such records are sent again until the task fails, and none is rejected"
		}
	}
	return retry(failure)
}
