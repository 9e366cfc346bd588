"""The exercises of chapter 12: buckets, span corruption, the bias under a cache, the order of the memory."""
