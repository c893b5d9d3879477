package awsapi

// PageToken is the token of a page for the SDK: nil for the first page, whose token is
// empty.
func PageToken(token string) *string {
	if token == "" {
		return nil
	}
	return &token
}

// NextToken is the token of the page after token's; empty after the last page. A page
// that names itself as the next is the last one, or the listing would not end.
func NextToken(token string, next *string) string {
	if next == nil || *next == token {
		return ""
	}
	return *next
}
