/** One page of a list. */
export interface Page<T> {
  readonly items: readonly T[];
  /** Fetches the next page; empty on the last. */
  readonly nextPageToken: string;
}

/** Yields the items of every page; fetches a page only when the one before is used up. */
export async function* eachItem<T>(fetchPage: (pageToken: string) => Promise<Page<T>>): AsyncGenerator<T, void, void> {
  let pageToken = "";
  do {
    const page = await fetchPage(pageToken);
    yield* page.items;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}
