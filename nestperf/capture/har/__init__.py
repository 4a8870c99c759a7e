"""HAR 1.2 (http://www.softwareishard.com/blog/har-12-spec/): what browsers write of their traffic, in and out."""
